/**
 * The measuring signal and how it is found again: a linear chirp and normalised cross-correlation.
 *
 * A chirp's autocorrelation is one narrow peak (C. E. Cook, "Pulse compression", Proc. IRE 1960), which Opus leaves
 * standing; noise and speech do not correlate with it.
 */

export const SWEEP = { from: 500, to: 3500, seconds: 0.08, level: 0.5 };

/** Below this a peak is chance, not the chirp: the greatest of 10^5 lags of noise stays under 0.3. */
export const LEAST_MATCH = 0.45;

/**
 * @param {number} rate Hz
 * @param {typeof SWEEP} [sweep]
 * @returns {Float32Array} faded in and out by a Hann window, so that it does not click
 */
export function makeChirp(rate, { from, to, seconds, level } = SWEEP) {
  const n = Math.round(seconds * rate);
  const chirp = new Float32Array(n);
  for (let i = 0; i < n; i++) {
    const t = i / rate;
    const phase = 2 * Math.PI * (from * t + ((to - from) * t * t) / (2 * seconds));
    chirp[i] = level * Math.sin(phase) * Math.sin((Math.PI * i) / (n - 1)) ** 2;
  }
  return chirp;
}

/**
 * Where `pattern` fits best within `recording`.
 *
 * @param {Float32Array} recording
 * @param {Float32Array} pattern
 * @param {number} [first] least lag looked at, samples
 * @param {number} [last] greatest lag looked at
 * @returns {{lag: number, match: number}} sample at which the pattern begins, and the correlation there: 1 is an
 *   exact copy at any level and polarity, 0 nothing alike. lag is -1 where the recording is too short or silent.
 */
export function findPattern(recording, pattern, first = 0, last = recording.length - pattern.length) {
  const n = pattern.length;
  const end = Math.min(last, recording.length - n);
  let patternEnergy = 0;
  for (const x of pattern) patternEnergy += x * x;
  const best = { lag: -1, match: 0 };
  if (end < first || patternEnergy === 0) return best;

  // Energy of the recording up to each sample, so that each lag's own costs one subtraction.
  const energy = new Float64Array(recording.length + 1);
  for (let i = 0; i < recording.length; i++) energy[i + 1] = energy[i] + recording[i] * recording[i];
  // Much quieter than the recording as a whole: numerical noise, not a signal to be normalised.
  const floor = (1e-6 * energy[recording.length] * n) / recording.length + 1e-12;

  for (let lag = Math.max(0, first); lag <= end; lag++) {
    const local = energy[lag + n] - energy[lag];
    if (local <= floor) continue;
    let product = 0;
    for (let i = 0; i < n; i++) product += recording[lag + i] * pattern[i];
    const match = Math.abs(product) / Math.sqrt(local * patternEnergy);
    if (match > best.match) {
      best.lag = lag;
      best.match = match;
    }
  }
  return best;
}

/**
 * Delay of each chirp that was sent.
 *
 * @param {Float32Array} heard what came back
 * @param {number[]} sent samples of `heard`'s time at which each chirp began to be sent
 * @param {Float32Array} pattern
 * @param {number} rate Hz
 * @param {number} longest greatest delay looked for, seconds
 * @returns {{found: number[], missed: number}} delays in ms
 */
export function chirpDelays(heard, sent, pattern, rate, longest = 1.5) {
  const found = [];
  for (const begin of sent) {
    const { lag, match } = findPattern(heard, pattern, begin, begin + Math.round(longest * rate));
    if (match >= LEAST_MATCH) found.push(((lag - begin) / rate) * 1000);
  }
  return { found, missed: sent.length - found.length };
}
