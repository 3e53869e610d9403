/** What a person chose last time, kept in this browser. */

const KEY = "seedvc-live";

const INITIAL = {
  voice: null,
  engine: null,
  /** Settings by engine: name → value, only what differs from the defaults. */
  settings: {},
  microphone: "",
  speaker: "",
  volume: 100,
  // With loudspeakers, an echo would be converted again and again; the other two change the voice.
  echoCancellation: true,
  noiseSuppression: false,
  autoGainControl: false,
};

export class Preferences {
  constructor() {
    let stored = {};
    try {
      stored = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    } catch {
      // Unreadable or forbidden storage is the same as none.
    }
    Object.assign(this, INITIAL, stored);
  }

  set(name, value) {
    this[name] = value;
    try {
      localStorage.setItem(KEY, JSON.stringify(this));
    } catch {
      // Kept for this visit only.
    }
  }
}
