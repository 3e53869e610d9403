/** Starts, keeps up and ends the conversation with the server: microphone, connection, reconnecting. */

import { Call } from "./call.js";
import { openMicrophone, stopStream } from "./devices.js";
import { Graph } from "./graph.js";
import { backoff } from "./pure/backoff.js";
import { next } from "./pure/lifecycle.js";
import { ApiError, LostError, isPassing } from "./pure/problems.js";

const ATTEMPTS = 15; // about a minute and a half

/**
 * Events: "state" (the state's name), "stream" (MediaStream to be heard), "stats", "network", "session" (as the server
 * has it), "failed" (an Error that only a person can mend), "retry" (ms until the next attempt).
 */
export class Conductor extends EventTarget {
  state = "idle";
  call = null;
  stream = null;
  graph = null;
  #attempt = 0;
  #timer = 0;
  #run = 0;

  /**
   * @param {import("./api.js").Api} api @param {import("./preferences.js").Preferences} preferences
   * @param {() => object} wanted voice, engine, settings and bypass to ask for now; throws when something is missing
   */
  constructor(api, preferences, wanted) {
    super();
    this.api = api;
    this.preferences = preferences;
    this.wanted = wanted;
    addEventListener("pagehide", () => this.call?.close());
    addEventListener("online", () => this.state === "waiting" && this.#again(this.#run, 0));
  }

  get live() {
    return this.state === "live";
  }

  get microphone() {
    return this.stream?.getAudioTracks()[0] ?? null;
  }

  async start() {
    if (this.state !== "idle") return;
    const run = ++this.#run;
    this.#attempt = 0;
    try {
      this.wanted();
      this.#go("start");
      performance.mark("seedvc-start");
      // Made in the click itself: some browsers let sound begin only there.
      this.graph = new Graph();
      this.graph.resume();
      const iceServers = this.api.iceServers();
      iceServers.catch(() => {}); // told below
      const stream = await openMicrophone(this.preferences);
      if (run !== this.#run) return stopStream(stream);
      this.#useMicrophone(stream);
      this.#go("granted");
      await this.#connect(run, await iceServers);
    } catch (error) {
      this.#fail(run, error);
    }
  }

  async stop() {
    if (this.state === "idle") return;
    this.#run++;
    this.#go("stop");
    await this.#release();
    this.#go("stopped");
  }

  /** A new connection with what is wanted now: for settings that a session keeps for its life. */
  async renew() {
    if (!this.live) return;
    this.#go("renew");
    this.#end();
    const run = ++this.#run;
    try {
      await this.#connect(run, await this.api.iceServers());
    } catch (error) {
      this.#lost(run, error);
    }
  }

  /** Another microphone, or the same with other processing, without a new connection. */
  async changeMicrophone() {
    if (!this.stream) return;
    const old = this.stream;
    const stream = await openMicrophone(this.preferences);
    if (this.stream !== old) return stopStream(stream);
    this.#useMicrophone(stream);
    await this.call?.replaceTrack(stream.getAudioTracks()[0]);
    stopStream(old);
  }

  #useMicrophone(stream) {
    this.stream = stream;
    this.graph.setInput(stream);
    const [track] = stream.getAudioTracks();
    track.onended = () => {
      if (this.stream !== stream) return;
      const gone = new DOMException("the microphone is gone", "NotFoundError");
      this.#fail(this.#run, gone);
    };
  }

  async #connect(run, iceServers) {
    const call = new Call(this.api, iceServers);
    this.call = call;
    call.addEventListener("stream", ({ detail }) => {
      this.graph.setOutput(detail);
      this.#tell("stream", detail);
    });
    for (const name of ["stats", "network"]) call.addEventListener(name, ({ detail }) => this.#tell(name, detail));
    let connected = false;
    call.addEventListener("lost", ({ detail }) => connected && this.#lost(run, new LostError(detail)));
    try {
      await call.open(this.stream, this.wanted());
    } catch (error) {
      call.close();
      throw error;
    }
    if (run !== this.#run) return call.close();
    connected = true;
    this.#attempt = 0;
    this.#go("connected");
    this.#tell("session", call.session);
  }

  /** Tell the server of a change while speaking; it answers what is in force. */
  async update(changes) {
    if (!this.live) return;
    try {
      this.#tell("session", await this.call.update(changes));
    } catch (error) {
      // A setting that the session keeps for its life (409) is no failure: begin a new one.
      if (error instanceof ApiError && error.status === 409) await this.renew();
      else throw error;
    }
  }

  #lost(run, error) {
    if (run !== this.#run || this.state === "idle") return;
    if (!isPassing(error) || this.#attempt >= ATTEMPTS) return this.#fail(run, error);
    this.#end();
    this.#go("lost");
    this.#again(run, backoff(this.#attempt++, { retryAfter: error.retryAfterMs ?? null }));
  }

  #again(run, wait) {
    clearTimeout(this.#timer);
    this.#tell("retry", wait);
    this.#timer = setTimeout(async () => {
      if (run !== this.#run) return;
      this.#go("retry");
      try {
        await this.#connect(run, await this.api.iceServers());
      } catch (error) {
        this.#lost(run, error);
      }
    }, wait);
  }

  async #fail(run, error) {
    if (run !== this.#run) return;
    this.#run++;
    await this.#release();
    this.#go("failed");
    this.#tell("failed", error);
  }

  #end() {
    clearTimeout(this.#timer);
    this.call?.close();
    this.call = null;
  }

  async #release() {
    this.#end();
    stopStream(this.stream);
    this.stream = null;
    const graph = this.graph;
    this.graph = null;
    this.#tell("stream", null);
    await graph?.close().catch(() => {});
  }

  #go(event) {
    const state = next(this.state, event);
    if (state === this.state) return;
    this.state = state;
    this.#tell("state", state);
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
