/** Sound levels. */

export const FLOOR_DBFS = -60;

/** @param {ArrayLike<number>} samples @returns {number} root mean square */
export function rms(samples) {
  let sum = 0;
  for (let i = 0; i < samples.length; i++) sum += samples[i] * samples[i];
  return samples.length ? Math.sqrt(sum / samples.length) : 0;
}

/** @param {number} amplitude @returns {number} dB relative to full scale, not below the floor */
export function dbfs(amplitude) {
  return amplitude > 0 ? Math.max(FLOOR_DBFS, 20 * Math.log10(amplitude)) : FLOOR_DBFS;
}

/** @param {number} level dBFS @returns {number} 0 at the floor, 1 at full scale */
export function fraction(level) {
  return Math.min(1, Math.max(0, 1 - level / FLOOR_DBFS));
}

/** A level in words, for those who hear the page rather than see it. */
export function inWords(level) {
  if (level <= FLOOR_DBFS + 5) return "silent";
  if (level < -40) return "quiet";
  return level > -3 ? "too loud" : "good";
}
