/** The panel with the delay: plot, figures, connection, and the measurement. */

import { byId, make } from "./dom.js";
import { measure } from "./measure.js";
import * as message from "./message.js";
import { PARTS, delayParts, total } from "./pure/delay.js";
import { Plot } from "./plot.js";

const LATE = 0.01;

export class DelayPanel {
  #plot = new Plot(byId("plot"));
  #network = {};
  #server = null;
  #stats = null;
  #measured = null;
  #busy = false;

  /** @param {import("./conductor.js").Conductor} conductor */
  constructor(conductor) {
    this.conductor = conductor;
    conductor.addEventListener("session", ({ detail }) => (this.#server = detail.delay ?? this.#server));
    conductor.addEventListener("stats", ({ detail }) => {
      this.#stats = detail;
      this.#server = detail.delay ?? this.#server;
    });
    conductor.addEventListener("network", ({ detail }) => {
      this.#network = detail;
      this.#show();
    });
    conductor.addEventListener("state", ({ detail }) => this.#state(detail));
    byId("measure").addEventListener("click", () => this.#measure());
    this.#rows({});
  }

  #state(state) {
    byId("measure").disabled = state !== "live" || this.#busy;
    if (state === "microphone") {
      this.#measured = this.#stats = this.#server = null;
      this.#plot.clear();
      byId("measured").textContent = "";
    }
    if (state === "waiting") this.#plot.add(performance.now(), null);
    if (state === "idle" || state === "waiting") this.#figure(null);
  }

  #show() {
    const parts = delayParts(this.#server, { ...this.#network, outputMs: this.conductor.graph?.outputMs() });
    this.#plot.add(performance.now(), parts);
    this.#rows(parts);
    this.#figure(total(parts));
    this.#facts();
  }

  #rows(parts) {
    const rows = PARTS.map(({ name, label, note }) => {
      const value = parts[name] === undefined ? "–" : `${parts[name].toFixed(0)} ms`;
      const row = make("div", { title: note }, make("dt", { textContent: label }), make("dd", { textContent: value }));
      row.style.setProperty("--swatch", `var(--part-${name})`);
      return row;
    });
    const sum = Object.keys(parts).length ? `${total(parts).toFixed(0)} ms` : "–";
    const last = make("div", { className: "sum" }, make("dt", { textContent: "Known parts together" }), make("dd", { textContent: sum }));
    byId("parts").replaceChildren(...rows, last);
  }

  /** The one big number: measured if it was, else what is known of it. */
  #figure(known) {
    const figure = this.#measured ?? known;
    byId("delay-figure").textContent = figure === null ? "–" : figure.toFixed(0);
    const kind = this.#measured === null ? "known parts, mouth to ear" : "measured, mouth to ear";
    byId("delay-kind").textContent = figure === null ? "mouth to ear" : kind;
  }

  #facts() {
    const percent = (value) => (value === null || value === undefined ? "–" : `${(value * 100).toFixed(1)} %`);
    const { loss, concealed } = this.#network;
    const facts = [
      ["Loss down", percent(loss), loss > LATE],
      ["Loss up", percent(this.#stats?.loss), this.#stats?.loss > LATE],
      ["Concealed", percent(concealed), concealed > LATE],
    ];
    const { blocks, late_blocks: late, block_ms: compute } = this.#stats ?? {};
    if (blocks) facts.push(["Late blocks", `${late ?? 0} of ${blocks}`, late / blocks > LATE]);
    if (Number.isFinite(compute)) facts.push(["A block takes", `${compute.toFixed(0)} ms`, false]);
    const step = this.#stats?.overload_step ?? "full";
    if (step !== "full") facts.push(["Overloaded, heard instead", step, true]);
    const rows = facts.map(([name, value, warn]) =>
      make("div", { className: warn ? "warn" : "" }, make("dt", { textContent: name }), make("dd", { textContent: value })),
    );
    byId("connection").replaceChildren(...rows);
  }

  async #measure() {
    const { conductor } = this;
    const { call, graph, microphone } = conductor;
    const output = byId("output");
    const button = byId("measure");
    const bypassed = call.session.bypass === true;
    this.#busy = button.disabled = true;
    button.textContent = "Measuring…";
    byId("measured").textContent = "Measuring: five chirps, some ten seconds.";
    const muted = output.muted;
    try {
      output.muted = true; // nobody wants to hear chirps
      if (!bypassed) await conductor.update({ bypass: true });
      await new Promise((resolve) => setTimeout(resolve, 300 + (this.#server?.total_ms ?? 300)));
      // Twice what is known, and the next chirp after that: one that is lost cannot be mistaken for another.
      this.#report(await measure(graph, call, microphone, Math.max(1, (2 * (this.#server?.total_ms ?? 0)) / 1000)));
    } catch (error) {
      byId("measured").textContent = "";
      message.show(byId("message"), error);
    } finally {
      if (!bypassed) await conductor.update({ bypass: false }).catch(() => {});
      output.muted = muted;
      this.#busy = false;
      button.textContent = "Measure";
      button.disabled = !conductor.live;
    }
  }

  #report({ medianMs, leastMs, mostMs, found, sent }) {
    if (found === 0) {
      byId("measured").textContent = "No chirp came back. Is the connection up, and the server not overloaded?";
      return;
    }
    this.#measured = medianMs;
    this.#plot.mark(performance.now(), medianMs);
    this.#figure(null);
    const range = `${leastMs.toFixed(0)} to ${mostMs.toFixed(0)}`;
    const missed = found < sent ? ` ${sent - found} of ${sent} did not come back.` : "";
    byId("measured").textContent =
      `Measured: ${medianMs.toFixed(0)} ms (${range}, ${found} chirps).${missed} ` +
      "Sound card and loudspeaker come on top; a page cannot hear them.";
  }
}
