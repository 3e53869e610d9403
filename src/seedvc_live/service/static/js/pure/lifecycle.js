/**
 * The life of a conversation with the server, as a table: state × event → state.
 *
 * Everything with a side effect lives in conductor.js; this says only what follows what.
 */

export const STATES = ["idle", "microphone", "connecting", "live", "waiting", "stopping"];

const TABLE = {
  idle: { start: "microphone" },
  microphone: { granted: "connecting", failed: "idle", stop: "stopping" },
  connecting: { connected: "live", failed: "idle", lost: "waiting", stop: "stopping" },
  live: { lost: "waiting", renew: "connecting", stop: "stopping", failed: "idle" },
  waiting: { retry: "connecting", failed: "idle", stop: "stopping" },
  stopping: { stopped: "idle" },
};

/**
 * @param {string} state @param {string} event
 * @returns {string} the state that follows; the same where the event means nothing in it
 */
export function next(state, event) {
  return TABLE[state]?.[event] ?? state;
}

/** @returns {string} what a person is told, aloud too */
export function describe(state, { engine = "", voice = "", seconds = 0 } = {}) {
  switch (state) {
    case "microphone":
      return "Waiting for the microphone";
    case "connecting":
      return "Connecting";
    case "live":
      return voice ? `Live as ${voice}` : `Live through ${engine}`;
    case "waiting":
      return seconds > 0 ? `Connection lost. Trying again in ${seconds} s` : "Connection lost. Trying again";
    case "stopping":
      return "Stopping";
    default:
      return "Ready";
  }
}
