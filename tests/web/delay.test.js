import assert from "node:assert/strict";
import { test } from "node:test";

import { PARTS, delayParts, pickStats, quantile, receiving, total } from "../../src/seedvc_live/service/static/js/pure/delay.js";

const SERVER = { algorithmic_ms: 200, compute_ms: 30, playout_ms: 40, jitter_buffer_ms: 40, total_ms: 310 };

test("parts come in the order of the path and add up", () => {
  const parts = delayParts(SERVER, { jitterBufferMs: 25, rttMs: 8, outputMs: 12 });
  assert.deepEqual(Object.keys(parts), PARTS.map((part) => part.name));
  assert.equal(total(parts), 355);
});

test("what is not known is left out instead of being called nothing", () => {
  const parts = delayParts(SERVER, { jitterBufferMs: null, rttMs: undefined, outputMs: NaN });
  assert.deepEqual(Object.keys(parts), ["server_buffer", "algorithmic", "compute", "playout"]);
  assert.deepEqual(delayParts(null, { rttMs: 3 }), { network: 3 });
});

test("the jitter buffer's delay is that of the samples in between, not the mean since the beginning", () => {
  const before = { jitterBufferDelay: 48000, jitterBufferEmittedCount: 48000, packetsReceived: 50 }; // a second each
  const after = { jitterBufferDelay: 48000 + 480, jitterBufferEmittedCount: 96000, packetsReceived: 100 };
  assert.ok(Math.abs(receiving(before, after).jitterBufferMs - 10) < 1e-9);
  assert.equal(receiving(null, before).jitterBufferMs, 1000);
  assert.equal(receiving(after, after).jitterBufferMs, null);
});

test("loss and concealment are fractions of what came in between", () => {
  const before = { packetsLost: 5, packetsReceived: 100, totalSamplesReceived: 1000, concealedSamples: 500 };
  const after = {
    packetsLost: 10,
    packetsReceived: 195,
    totalSamplesReceived: 11000,
    concealedSamples: 1000,
    silentConcealedSamples: 300,
  };
  const now = receiving(before, after);
  assert.equal(now.loss, 0.05);
  assert.equal(now.concealed, 0.02);
});

test("a packet that was only late does not make a negative loss", () => {
  const now = receiving({ packetsLost: 5, packetsReceived: 10 }, { packetsLost: 4, packetsReceived: 20 });
  assert.equal(now.lost, 0);
  assert.equal(now.loss, 0);
});

test("the round trip is that of the pair in use", () => {
  const entries = [
    { id: "a", type: "candidate-pair", nominated: true, currentRoundTripTime: 0.5 },
    { id: "b", type: "candidate-pair", nominated: true, currentRoundTripTime: 0.004 },
    { id: "t", type: "transport", selectedCandidatePairId: "b" },
    { id: "v", type: "inbound-rtp", kind: "video" },
    { id: "i", type: "inbound-rtp", kind: "audio" },
  ];
  assert.equal(pickStats(entries).rttMs, 4);
  assert.equal(pickStats(entries).inbound.id, "i");
  assert.equal(pickStats(entries.slice(0, 1)).rttMs, 500);
  assert.deepEqual(pickStats([]), { inbound: null, rttMs: null });
});

test("quantiles agree with the textbook", () => {
  assert.equal(quantile([], 0.5), null);
  assert.equal(quantile([3, 1, 2], 0.5), 2);
  assert.equal(quantile([1, 2, 3, 4], 0.5), 2.5);
  assert.equal(quantile([10, 20], 0.95), 19.5);
});
