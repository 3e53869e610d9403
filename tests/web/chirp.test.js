import assert from "node:assert/strict";
import { test } from "node:test";

import { LEAST_MATCH, SWEEP, chirpDelays, findPattern, makeChirp } from "../../src/seedvc_live/service/static/js/pure/chirp.js";

const RATE = 16000;

/** Reproducible noise, -1 … 1 (mulberry32). */
function noise(n, level, seed = 1) {
  let a = seed;
  return Float32Array.from({ length: n }, () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return level * ((((t ^ (t >>> 14)) >>> 0) / 2 ** 31) - 1);
  });
}

function add(into, what, at, gain = 1) {
  for (let i = 0; i < what.length; i++) into[at + i] += gain * what[i];
  return into;
}

test("the chirp has its length and level and no click at its ends", () => {
  const chirp = makeChirp(RATE);
  assert.equal(chirp.length, Math.round(SWEEP.seconds * RATE));
  assert.ok(Math.max(...chirp) <= SWEEP.level && Math.max(...chirp) > 0.9 * SWEEP.level);
  assert.ok(Math.abs(chirp[1]) < 0.001 && Math.abs(chirp.at(-2)) < 0.001);
});

test("an exact copy is found to the sample, at any level and either polarity", () => {
  const chirp = makeChirp(RATE);
  for (const gain of [1, 0.01, -0.5]) {
    const { lag, match } = findPattern(add(new Float32Array(RATE), chirp, 4321, gain), chirp);
    assert.equal(lag, 4321);
    assert.ok(match > 0.999);
  }
});

test("it is found under noise of its own power", () => {
  const chirp = makeChirp(RATE);
  const power = Math.sqrt(chirp.reduce((sum, x) => sum + x * x, 0) / chirp.length);
  const heard = add(noise(RATE, power * Math.sqrt(3)), chirp, 7000);
  const { lag, match } = findPattern(heard, chirp);
  assert.ok(Math.abs(lag - 7000) <= 1, `${lag}`);
  assert.ok(match > LEAST_MATCH);
});

test("noise, a tone and silence are not taken for the chirp", () => {
  const chirp = makeChirp(RATE);
  for (let seed = 1; seed <= 5; seed++) assert.ok(findPattern(noise(2 * RATE, 0.5, seed), chirp).match < LEAST_MATCH);
  const tone = Float32Array.from({ length: RATE }, (_, i) => 0.5 * Math.sin((2 * Math.PI * 1000 * i) / RATE));
  assert.ok(findPattern(tone, chirp).match < LEAST_MATCH);
  assert.deepEqual(findPattern(new Float32Array(RATE), chirp), { lag: -1, match: 0 });
  assert.deepEqual(findPattern(new Float32Array(3), chirp), { lag: -1, match: 0 });
});

test("each chirp's delay, and those that never came", () => {
  const chirp = makeChirp(RATE);
  const heard = noise(6 * RATE, 0.001);
  const sent = [1000, 33000, 65000];
  add(heard, chirp, 1000 + 0.1 * RATE);
  add(heard, chirp, 65000 + 0.12 * RATE);
  const { found, missed } = chirpDelays(heard, sent, chirp, RATE, 1.5);
  assert.deepEqual(found, [100, 120]);
  assert.equal(missed, 1);
});
