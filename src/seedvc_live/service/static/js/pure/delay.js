/**
 * The delay from mouth to ear, and what it is made of.
 *
 * Parts known to the server come with its statistics; those of the browser come from getStats (W3C webrtc-stats).
 * What neither can see (sound card, operating system, the codec's frames) shows only in a measurement.
 */

/** In the order in which sound passes through them. */
export const PARTS = [
  { name: "network", label: "Network", note: "there and back" },
  { name: "server_buffer", label: "Server’s jitter buffer", note: "evens out arrival times" },
  { name: "algorithmic", label: "Algorithmic", note: "block and lookahead of the engine" },
  { name: "compute", label: "Compute reserve", note: "time kept for converting a block" },
  { name: "playout", label: "Play-out", note: "paces what leaves the server" },
  { name: "browser_buffer", label: "Browser’s jitter buffer", note: "evens out arrival times" },
  { name: "speaker", label: "Sound output", note: "as the browser reports it" },
];

/**
 * The parts that are known now, in ms; a part that is not known is left out, never shown as 0.
 *
 * @param {object|null} server `delay` of a session or of its statistics
 * @param {{jitterBufferMs?: number|null, rttMs?: number|null, outputMs?: number|null}} browser
 * @returns {Record<string, number>}
 */
export function delayParts(server, browser) {
  const parts = {
    network: browser.rttMs,
    server_buffer: server?.jitter_buffer_ms,
    algorithmic: server?.algorithmic_ms,
    compute: server?.compute_ms,
    playout: server?.playout_ms,
    browser_buffer: browser.jitterBufferMs,
    speaker: browser.outputMs,
  };
  return Object.fromEntries(
    PARTS.map(({ name }) => [name, parts[name]]).filter(([, value]) => Number.isFinite(value) && value >= 0),
  );
}

/** @param {Record<string, number>} parts @returns {number} their sum, ms */
export function total(parts) {
  return Object.values(parts).reduce((sum, value) => sum + value, 0);
}

/**
 * What happened on the receiving side between two snapshots of getStats.
 *
 * @param {object|null} before the inbound-rtp entry of the earlier snapshot, null at the beginning
 * @param {object} after the same of the later one
 * @returns {{jitterBufferMs: number|null, lost: number, received: number, loss: number|null, concealed: number|null}}
 *   loss and concealed are fractions of packets and of samples in between
 */
export function receiving(before, after) {
  const since = (key) => (after[key] ?? 0) - (before?.[key] ?? 0);
  const emitted = since("jitterBufferEmittedCount");
  // jitterBufferDelay is the sum, over all emitted samples, of each one's wait in seconds.
  const jitterBufferMs = emitted > 0 ? (since("jitterBufferDelay") / emitted) * 1000 : null;
  const lost = Math.max(0, since("packetsLost")); // a late packet can make the count go back
  const received = Math.max(0, since("packetsReceived"));
  const samples = since("totalSamplesReceived");
  return {
    jitterBufferMs,
    lost,
    received,
    loss: lost + received > 0 ? lost / (lost + received) : null,
    // Samples that fill a silence which the sender announced are concealment only in name.
    concealed: samples > 0 ? Math.max(0, since("concealedSamples") - since("silentConcealedSamples")) / samples : null,
  };
}

/**
 * Pick from a getStats report what this page shows.
 *
 * @param {Iterable<object>} entries values of an RTCStatsReport
 * @returns {{inbound: object|null, rttMs: number|null}}
 */
export function pickStats(entries) {
  const all = [...entries];
  const inbound = all.find((entry) => entry.type === "inbound-rtp" && entry.kind === "audio") ?? null;
  const transport = all.find((entry) => entry.type === "transport" && entry.selectedCandidatePairId);
  const pair =
    all.find((entry) => entry.id === transport?.selectedCandidatePairId) ??
    all.find((entry) => entry.type === "candidate-pair" && entry.nominated);
  const seconds = pair?.currentRoundTripTime;
  return { inbound, rttMs: Number.isFinite(seconds) ? seconds * 1000 : null };
}

/** @param {number[]} values @param {number} q 0 … 1 @returns {number|null} linear between ranks, as NumPy's default */
export function quantile(values, q) {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  const at = (sorted.length - 1) * q;
  const low = Math.floor(at);
  return sorted[low] + (sorted[Math.min(low + 1, sorted.length - 1)] - sorted[low]) * (at - low);
}
