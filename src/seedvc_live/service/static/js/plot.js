/** The delay over the last minute, its parts on top of each other, measured figures as dots. */

import { sharp, theme } from "./dom.js";
import { PARTS, total } from "./pure/delay.js";
import { History, axisTop } from "./pure/history.js";

const SPAN = 60000;
const LEFT = 40;
const BOTTOM = 20;
const TOP = 8;

export class Plot {
  #parts = new History(SPAN);
  #measured = new History(SPAN);

  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  /** @param {number} time ms @param {Record<string, number>|null} parts null where there was no connection */
  add(time, parts) {
    this.#parts.add(time, parts);
    this.draw();
  }

  /** @param {number} time ms @param {number} value measured mouth to ear, ms */
  mark(time, value) {
    this.#measured.add(time, value);
    this.draw();
  }

  clear() {
    this.#parts.clear();
    this.#measured.clear();
    this.draw();
  }

  draw() {
    const { context, width, height } = sharp(this.canvas);
    const entries = this.#parts.entries;
    const marks = this.#measured.entries;
    const now = Math.max(entries.at(-1)?.time ?? 0, marks.at(-1)?.time ?? 0);
    const values = [...entries.map(({ value }) => (value ? total(value) : 0)), ...marks.map(({ value }) => value)];
    const top = axisTop(Math.max(0, ...values) * 1.05, 100);
    const x = (time) => LEFT + (1 - (now - time) / SPAN) * (width - LEFT);
    const y = (ms) => TOP + (1 - ms / top) * (height - TOP - BOTTOM);
    this.#axes(context, width, height, top, y);

    context.save();
    context.beginPath();
    context.rect(LEFT, 0, width - LEFT, height - BOTTOM);
    context.clip();
    for (const run of connected(entries)) this.#areas(context, run, x, y);
    context.fillStyle = theme("--ink");
    context.strokeStyle = theme("--panel");
    context.lineWidth = 2;
    for (const { time, value } of marks) {
      context.beginPath();
      context.arc(Math.min(x(time), width - 6), y(value), 5, 0, 2 * Math.PI);
      context.fill();
      context.stroke();
    }
    context.restore();
  }

  #axes(context, width, height, top, y) {
    context.font = "11.5px system-ui, sans-serif";
    context.fillStyle = theme("--quiet");
    context.strokeStyle = theme("--line");
    context.lineWidth = 1;
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (const part of [0, 0.5, 1]) {
      const at = Math.round(y(part * top)) + 0.5;
      context.beginPath();
      context.moveTo(LEFT, at);
      context.lineTo(width, at);
      context.stroke();
      context.fillText(`${Math.round(part * top)}`, LEFT - 8, at);
    }
    context.textBaseline = "alphabetic";
    context.fillText("now", width, height - 4);
    context.textAlign = "left";
    context.fillText("ms · a minute ago", LEFT, height - 4);
  }

  #areas(context, run, x, y) {
    const below = run.map(() => 0);
    for (const { name } of PARTS) {
      if (!run.some(({ value }) => value[name] > 0)) continue;
      const above = run.map(({ value }, i) => below[i] + (value[name] ?? 0));
      context.fillStyle = theme(`--part-${name}`);
      context.beginPath();
      run.forEach(({ time }, i) => context.lineTo(x(time), y(above[i])));
      for (let i = run.length - 1; i >= 0; i--) context.lineTo(x(run[i].time), y(below[i]));
      context.closePath();
      context.fill();
      above.forEach((value, i) => (below[i] = value));
    }
  }
}

/** Cut where there was no connection. @returns {Array<{time: number, value: object}[]>} */
function connected(entries) {
  const runs = [[]];
  for (const entry of entries) {
    if (entry.value) runs.at(-1).push(entry);
    else if (runs.at(-1).length) runs.push([]);
  }
  return runs.filter((run) => run.length);
}
