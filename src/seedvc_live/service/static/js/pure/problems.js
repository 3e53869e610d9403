/** Every failure in words: what happened, and what to do about it. */

/**
 * An answer of the API that is not a success (RFC 9457), or no answer at all.
 */
export class ApiError extends Error {
  /**
   * @param {number} status 0 when the server could not be reached
   * @param {object} problem the problem document; {} where there is none
   * @param {number|null} retryAfterMs
   */
  constructor(status, problem = {}, retryAfterMs = null) {
    super(problem.detail ?? problem.title ?? (status ? `status ${status}` : "the server does not answer"));
    this.status = status;
    this.problem = problem;
    this.retryAfterMs = retryAfterMs;
    this.slug = String(problem.type ?? "").split("/").at(-1);
  }
}

/** No voice has been chosen, and the engine needs one. */
export class NoVoiceError extends Error {}

/** A connection that was there is gone, or never came about. */
export class LostError extends Error {}

/**
 * @typedef {object} Message
 * @property {string} title
 * @property {string} detail
 * @property {string|null} command to be shown as code
 * @property {"token"|"retry"|"voice"|null} action
 */

/**
 * @param {unknown} error
 * @param {{secure?: boolean}} [where] whether the page may use the microphone at all
 * @returns {Message}
 */
export function explain(error, { secure = true } = {}) {
  if (error instanceof ApiError) return ofApi(error);
  if (error instanceof NoVoiceError) {
    return say("Choose a voice first", "Upload a clip of 1 to 60 seconds of someone speaking, or record one.", "voice");
  }
  if (error instanceof LostError) return say("The connection was lost", error.message, "retry");
  if (!secure) {
    return say(
      "The microphone needs a secure page",
      "Browsers give pages the microphone only over HTTPS, or on localhost. Open it with https in front of its address, or on the computer that serves it.",
    );
  }
  const known = MICROPHONE[error?.name];
  if (known) return say(...known);
  return say("Something went wrong", String(error?.message ?? error), "retry");
}

/** Names of DOMException that getUserMedia ends with. */
const MICROPHONE = {
  NotAllowedError: [
    "The microphone was refused",
    "Allow the microphone for this page: press the symbol beside the address, set Microphone to Allow, and start again.",
    "retry",
  ],
  NotFoundError: ["No microphone was found", "Connect a microphone, or choose another one, and start again.", "retry"],
  NotReadableError: ["The microphone is in use", "Another program holds the microphone. Close it and start again.", "retry"],
  OverconstrainedError: ["That microphone is gone", "Choose another microphone and start again.", "retry"],
  SecurityError: ["The microphone is blocked", "This browser, or whoever manages it, does not allow microphones here."],
};

function say(title, detail, action = null, command = null) {
  return { title, detail, action, command };
}

/** @param {ApiError} error @returns {Message} */
function ofApi(error) {
  const detail = sentence(error.message);
  switch (error.status) {
    case 0:
      return say("The server does not answer", "It may be restarting, or the network is down.", "retry");
    case 401:
      return say("A token is needed", "This server asks for the token it was started with.", "token");
    case 403:
    case 421:
      return say("Not allowed from here", detail);
    case 404:
      return say("Not there any more", detail, "retry");
    case 409:
      return say("That setting needs a new connection", detail, "retry");
    case 413:
      return say("The clip is too large", detail, "voice");
    case 422:
    case 415:
      if (error.problem.install) {
        return say("That engine is not installed", "On the server, install it with:", null, error.problem.install);
      }
      return say(CLIP[error.slug] ?? "The server did not accept that", detail, error.slug in CLIP ? "voice" : null);
    case 429:
    case 503: {
      const seconds = Math.ceil((error.retryAfterMs ?? 0) / 1000);
      const when = seconds > 0 ? ` It asks to try again in ${seconds} s.` : "";
      return say(BUSY[error.slug] ?? "The server is full", `${detail}${when}`, "retry");
    }
    default:
      return say(error.status >= 500 ? "The server failed" : "The server did not accept that", detail, "retry");
  }
}

const BUSY = {
  "not-ready": "The server is starting",
  "worker-lost": "The server lost its worker",
  "too-many": "Too many requests",
};

const CLIP = {
  "reference-silent": "The clip is silent",
  "reference-no-speech": "There is no speech in the clip",
  "reference-clipped": "The clip is distorted",
  "reference-too-short": "The clip is too short",
  "reference-too-long": "The clip is too long",
  "not-audio": "That is not a sound file",
};

/** A capital at the front and a full stop at the end. */
export function sentence(text) {
  const trimmed = String(text).trim();
  if (!trimmed) return "";
  const capital = trimmed.charAt(0).toUpperCase() + trimmed.slice(1);
  return /[.!?…)]$/.test(capital) ? capital : `${capital}.`;
}

/** @param {unknown} error @returns {boolean} whether a further attempt, without anyone doing anything, can succeed */
export function isPassing(error) {
  if (error instanceof LostError) return true;
  return error instanceof ApiError && (error.status === 0 || error.status === 429 || error.status >= 500);
}
