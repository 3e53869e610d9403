/** When to try again after a lost connection: exponential back-off with jitter. */

export const FIRST_MS = 250;
export const LIMIT_MS = 8000;

/**
 * How long to wait before a further attempt, in ms.
 *
 * The first waits are short, since a server that lost one worker has others. Up to a quarter is taken off at
 * random, so that many clients of one server do not come back in the same instant; never more than the limit.
 *
 * @param {number} attempt 0 for the first attempt after the loss
 * @param {{first?: number, limit?: number, retryAfter?: number|null, random?: () => number}} [options]
 *   retryAfter: the least the server asks for, in ms
 * @returns {number}
 */
export function backoff(attempt, { first = FIRST_MS, limit = LIMIT_MS, retryAfter = null, random = Math.random } = {}) {
  const full = Math.min(limit, first * 2 ** Math.max(0, attempt));
  const wait = full * (1 - random() / 4);
  return Math.round(Math.max(wait, retryAfter ?? 0));
}

/**
 * A Retry-After header (RFC 9110, section 10.2.3) in ms: whole seconds or a date; null when absent or not understood.
 *
 * @param {string|null} header
 * @param {number} now ms since the epoch
 * @returns {number|null}
 */
export function retryAfter(header, now) {
  if (header === null || header === undefined) return null;
  const text = String(header).trim();
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text) * 1000;
  const date = Date.parse(text);
  return Number.isNaN(date) ? null : Math.max(0, date - now);
}
