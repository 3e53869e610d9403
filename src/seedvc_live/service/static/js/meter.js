/** A level meter: the bar moves at once, what is read out changes seldom. */

import { dbfs, fraction, inWords } from "./pure/levels.js";

const TELL_MS = 1000;
const FALL = 24; // dB a second, after the peak

export class Meter {
  #level = -60;
  #time = 0;
  #told = 0;

  /** @param {HTMLElement} element with role="meter" and one child, the bar */
  constructor(element) {
    this.element = element;
    this.bar = element.firstElementChild;
  }

  /** Nothing comes any more. */
  rest() {
    this.#level = -60;
    this.#time = this.#told = 0;
    this.show(TELL_MS, 0);
  }

  /** @param {number} now ms @param {number} amplitude root mean square */
  show(now, amplitude) {
    const fallen = this.#level - (FALL * (now - this.#time)) / 1000;
    this.#level = Math.max(dbfs(amplitude), fallen, -60);
    this.#time = now;
    this.bar.style.transform = `scaleX(${fraction(this.#level).toFixed(3)})`;
    this.element.dataset.loud = String(this.#level > -3);
    if (now - this.#told < TELL_MS) return;
    this.#told = now;
    this.element.setAttribute("aria-valuenow", this.#level.toFixed(0));
    this.element.setAttribute("aria-valuetext", inWords(this.#level));
  }
}
