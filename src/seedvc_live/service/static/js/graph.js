/** Listening in on both directions, for meters and recordings. What is sent and heard does not pass through here. */

import { rms } from "./pure/levels.js";

const WINDOW = 1024;

export class Graph {
  #in = null;
  #out = null;
  #buffer = new Float32Array(WINDOW);

  constructor() {
    this.context = new AudioContext({ latencyHint: "interactive" });
    // The recording outlives single connections.
    this.recording = this.context.createMediaStreamDestination();
  }

  resume = () => this.context.resume();

  /** @param {MediaStream|null} stream the microphone */
  setInput(stream) {
    this.#in?.disconnect();
    this.#in = stream && this.#tap(stream);
  }

  /** @param {MediaStream|null} stream what comes from the server */
  setOutput(stream) {
    this.#out?.disconnect();
    this.#out = stream && this.#tap(stream, this.recording);
  }

  #tap(stream, onward = null) {
    const source = this.context.createMediaStreamSource(stream);
    const analyser = new AnalyserNode(this.context, { fftSize: WINDOW });
    source.connect(analyser);
    if (onward) source.connect(onward);
    const disconnect = () => source.disconnect();
    return { source, analyser, disconnect };
  }

  /** @returns {{in: number, out: number}} root mean square of the last 20 ms */
  levels() {
    return { in: this.#level(this.#in), out: this.#level(this.#out) };
  }

  #level(tap) {
    if (!tap) return 0;
    tap.analyser.getFloatTimeDomainData(this.#buffer);
    return rms(this.#buffer);
  }

  /** The browser's own account of its output's delay, ms; null where it gives none. */
  outputMs() {
    const seconds = this.context.outputLatency;
    return Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : null;
  }

  /** @returns {AudioNode|null} what comes from the server */
  get output() {
    return this.#out?.source ?? null;
  }

  async close() {
    this.setInput(null);
    this.setOutput(null);
    await this.context.close();
  }
}
