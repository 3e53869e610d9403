import assert from "node:assert/strict";
import { test } from "node:test";

import { FIRST_MS, LIMIT_MS, backoff, retryAfter } from "../../src/seedvc_live/service/static/js/pure/backoff.js";

test("waits double up to the limit", () => {
  const waits = Array.from({ length: 10 }, (_, attempt) => backoff(attempt, { random: () => 0 }));
  assert.deepEqual(waits.slice(0, 4), [250, 500, 1000, 2000]);
  assert.equal(waits.at(-1), LIMIT_MS);
});

test("jitter shortens by a quarter at most and never lengthens", () => {
  for (let attempt = 0; attempt < 8; attempt++) {
    const full = backoff(attempt, { random: () => 0 });
    for (const draw of [0, 0.3, 0.999]) {
      const wait = backoff(attempt, { random: () => draw });
      assert.ok(wait <= full && wait >= full * 0.74, `${wait} of ${full}`);
    }
  }
});

test("three attempts fit into the first second after a loss", () => {
  const worst = [0, 1].reduce((sum, attempt) => sum + backoff(attempt, { random: () => 0 }), 0);
  assert.ok(worst <= 1000, `${worst}`);
  assert.ok(FIRST_MS <= 300);
});

test("what the server asks for is the least", () => {
  assert.equal(backoff(0, { retryAfter: 5000 }), 5000);
  assert.ok(backoff(9, { retryAfter: 100 }) > 5000);
});

test("Retry-After in seconds, as a date, absent and nonsense", () => {
  const now = Date.parse("2026-01-01T00:00:00Z");
  assert.equal(retryAfter("3", now), 3000);
  assert.equal(retryAfter("Thu, 01 Jan 2026 00:00:07 GMT", now), 7000);
  assert.equal(retryAfter("Wed, 31 Dec 2025 00:00:00 GMT", now), 0);
  assert.equal(retryAfter(null, now), null);
  assert.equal(retryAfter("soon", now), null);
});
