/** The last seconds of both directions: what you say above the line, what is heard of it below, later by the delay. */

import { calm, sharp, theme } from "./dom.js";
import { History } from "./pure/history.js";
import { dbfs, fraction } from "./pure/levels.js";

const SPAN = 6000; // ms from edge to edge
const EVERY = 40; // ms a bar
const LATE = 7; // bars between the two halves of the sketch

export class Scope {
  #history = new History(SPAN);
  #peak = { in: 0, out: 0 };
  #next = 0;

  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    new ResizeObserver(() => this.draw(performance.now())).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw(performance.now()));
  }

  /** @param {number} now ms @param {{in: number, out: number}} levels */
  add(now, levels) {
    this.#peak.in = Math.max(this.#peak.in, levels.in);
    this.#peak.out = Math.max(this.#peak.out, levels.out);
    if (now < this.#next) return;
    this.#history.add(now, this.#peak);
    this.#peak = { in: 0, out: 0 };
    this.#next = now + EVERY;
    if (!calm() || now % 400 < EVERY) this.draw(now);
  }

  clear() {
    this.#history.clear();
    this.#next = 0;
    this.draw(0);
  }

  draw(now) {
    const { context, width, height } = sharp(this.canvas);
    const middle = height / 2;
    const step = (width * EVERY) / SPAN;
    const bar = Math.max(1.5, step * 0.55);
    const paint = { in: theme("--you"), out: theme("--voice") };
    context.fillStyle = theme("--line");
    for (let x = width - bar; x > 0; x -= step) context.fillRect(x, middle - 0.75, bar, 1.5);
    if (this.#history.last === null) return this.#sketch(context, width, middle, step, bar);
    for (const { time, value } of this.#history.entries) {
      const x = width - ((now - time) / SPAN) * width - bar;
      if (x < -bar) continue;
      for (const [side, sign] of [["in", -1], ["out", 1]]) {
        const size = fraction(dbfs(value[side])) * (middle - 26);
        if (size < 1) continue;
        context.fillStyle = paint[side];
        fillBar(context, x, sign < 0 ? middle - 2 - size : middle + 2, bar, size);
      }
    }
  }

  /** Before there is sound: what will be seen, drawn faintly. */
  #sketch(context, width, middle, step, bar) {
    context.fillStyle = theme("--line");
    const size = (i) => Math.max(0, Math.sin(i / 9) * Math.sin(i / 31) * (0.75 + 0.25 * Math.sin(i * 1.7))) * (middle - 40);
    for (let i = 0; i * step < width; i++) {
      const x = i * step;
      const late = size(i - LATE);
      if (size(i) > 1) fillBar(context, x, middle - 2 - size(i), bar, size(i));
      if (late > 1) fillBar(context, x, middle + 2, bar, late);
    }
  }
}

function fillBar(context, x, y, width, height) {
  context.beginPath();
  context.roundRect(x, y, width, height, width / 2);
  context.fill();
}
