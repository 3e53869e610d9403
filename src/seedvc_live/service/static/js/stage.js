/** The stage: state, start and stop, A/B, levels, recording. */

import { byId, make } from "./dom.js";
import * as message from "./message.js";
import { Meter } from "./meter.js";
import { describe } from "./pure/lifecycle.js";
import { Recorder } from "./recorder.js";
import { Scope } from "./scope.js";

export class Stage {
  #scope = new Scope(byId("scope"));
  #meters = { in: new Meter(byId("level-in")), out: new Meter(byId("level-out")) };
  #recorder = null;
  #heard = false;

  /**
   * @param {import("./conductor.js").Conductor} conductor
   * @param {() => {engine: string, voice: string}} names of what is chosen
   * @param {Record<string, () => void>} actions of messages
   */
  constructor(conductor, names, actions) {
    this.conductor = conductor;
    this.names = names;
    this.actions = actions;
    byId("start").addEventListener("click", () => this.start());
    byId("stop").addEventListener("click", () => conductor.stop());
    byId("record").addEventListener("click", () => this.#record());
    for (const radio of document.querySelectorAll("input[name=listen]")) {
      radio.addEventListener("change", () => this.#listen());
    }
    conductor.addEventListener("state", ({ detail }) => this.#state(detail));
    conductor.addEventListener("retry", ({ detail }) => this.#countdown(detail));
    conductor.addEventListener("failed", ({ detail }) => this.fail(detail));
    conductor.addEventListener("session", ({ detail }) => this.#select(detail.bypass === true));
    conductor.addEventListener("stream", ({ detail }) => {
      byId("output").srcObject = detail;
      // Without the click's permission a browser may keep still; the next click gives it.
      if (detail) byId("output").play().catch(() => {});
    });
  }

  start() {
    message.clear(byId("message"));
    this.#heard = false;
    this.conductor.start();
  }

  fail(error) {
    message.show(byId("message"), error, { retry: () => this.start(), ...this.actions });
  }

  /** Whether the source itself is to be heard. */
  get bypass() {
    return document.querySelector("input[name=listen]:checked").value === "bypass";
  }

  showNames() {
    const { voice } = this.names();
    for (const place of document.querySelectorAll("[data-voice-name]")) place.textContent = voice || "The voice";
    if (this.conductor.live) byId("state").textContent = describe("live", this.names());
  }

  #select(bypass) {
    document.querySelector(`input[name=listen][value=${bypass ? "bypass" : "converted"}]`).checked = true;
  }

  async #listen() {
    try {
      await this.conductor.update({ bypass: this.bypass });
    } catch (error) {
      this.#select(!this.bypass);
      this.fail(error);
    }
  }

  #state(state) {
    document.body.dataset.state = state;
    const idle = state === "idle";
    const focused = document.activeElement;
    byId("start").hidden = !idle;
    byId("stop").hidden = idle;
    byId("stop").disabled = state === "stopping";
    // The button under a finger changes; whoever uses the keyboard stays on it.
    if (focused === byId("start") && !idle) byId("stop").focus();
    if (focused === byId("stop") && idle) byId("start").focus();
    byId("listen").disabled = state !== "live";
    byId("record").disabled = !(state === "live" || this.#recorder);
    byId("state").textContent = describe(state, this.names());
    if (state === "microphone") requestAnimationFrame((now) => this.#frame(now));
    if (idle && this.#recorder) this.#record();
  }

  #countdown(wait) {
    const seconds = Math.ceil(wait / 1000);
    byId("state").textContent = describe("waiting", { seconds: seconds > 1 ? seconds : 0 });
  }

  #frame(now) {
    const { graph } = this.conductor;
    const levels = graph?.levels() ?? { in: 0, out: 0 };
    this.#scope.add(now, levels);
    for (const side of ["in", "out"]) this.#meters[side].show(now, levels[side]);
    if (!this.#heard && levels.out > 0.002) {
      this.#heard = true;
      performance.measure("seedvc-first-audio", "seedvc-start");
    }
    if (this.conductor.state !== "idle") requestAnimationFrame((next) => this.#frame(next));
    else this.#rest();
  }

  #rest() {
    this.#scope.clear();
    for (const meter of Object.values(this.#meters)) meter.rest();
  }

  async #record() {
    const button = byId("record");
    if (!this.#recorder) {
      this.#recorder = new Recorder(this.conductor.graph.recording.stream);
      button.textContent = "Stop recording";
      button.setAttribute("aria-pressed", "true");
      return;
    }
    const recorder = this.#recorder;
    this.#recorder = null;
    button.textContent = "Record";
    button.setAttribute("aria-pressed", "false");
    button.disabled = !this.conductor.live;
    const { blob, seconds, extension } = await recorder.stop();
    const { voice, engine } = this.names();
    const stamp = new Date().toISOString().slice(0, 19).replaceAll(":", "-");
    const name = `${(voice || engine).replace(/[^\p{L}\p{N}]+/gu, "-")}-${stamp}.${extension}`;
    const link = make("a", { href: URL.createObjectURL(blob), download: name, textContent: `Save ${name}` });
    byId("recordings").append(make("p", {}, link, make("span", { className: "quiet", textContent: `${seconds.toFixed(0)} s` })));
  }
}
