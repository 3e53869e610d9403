/** Values over the last seconds. */
export class History {
  #entries = [];

  /** @param {number} span ms that are kept */
  constructor(span) {
    this.span = span;
  }

  /** @param {number} time ms, not earlier than the last @param {*} value */
  add(time, value) {
    this.#entries.push({ time, value });
    let old = 0;
    // One entry from before the span stays: a line has to begin somewhere.
    while (old + 1 < this.#entries.length && this.#entries[old + 1].time <= time - this.span) old++;
    if (old) this.#entries.splice(0, old);
  }

  /** @returns {{time: number, value: *}[]} oldest first */
  get entries() {
    return this.#entries;
  }

  get last() {
    return this.#entries.at(-1)?.value ?? null;
  }

  clear() {
    this.#entries = [];
  }
}

/**
 * The top of an axis: 1, 2 or 5 times a power of ten, at or above the value, so that the scale rarely moves.
 *
 * @param {number} value @param {number} least @returns {number}
 */
export function axisTop(value, least = 100) {
  const wanted = Math.max(value, least, 1e-9);
  const power = 10 ** Math.floor(Math.log10(wanted));
  const factor = [1, 1.5, 2, 3, 4, 5, 6, 8, 10].find((one) => one * power >= wanted * 0.9999);
  return Math.round(factor * power);
}
