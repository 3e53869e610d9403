import assert from "node:assert/strict";
import { test } from "node:test";

import { History, axisTop } from "../../src/seedvc_live/service/static/js/pure/history.js";
import { FLOOR_DBFS, dbfs, fraction, inWords, rms } from "../../src/seedvc_live/service/static/js/pure/levels.js";
import { STATES, describe, next } from "../../src/seedvc_live/service/static/js/pure/lifecycle.js";
import { ApiError, LostError, NoVoiceError, explain, isPassing, sentence } from "../../src/seedvc_live/service/static/js/pure/problems.js";

test("levels", () => {
  const sine = Float32Array.from({ length: 480 }, (_, i) => Math.sin((2 * Math.PI * i) / 48));
  assert.ok(Math.abs(dbfs(rms(sine)) + 3.01) < 0.01);
  assert.equal(dbfs(0), FLOOR_DBFS);
  assert.deepEqual([fraction(0), fraction(-60), fraction(-90), fraction(-30)], [1, 0, 0, 0.5]);
  assert.deepEqual([inWords(-60), inWords(-45), inWords(-20), inWords(-1)], ["silent", "quiet", "good", "too loud"]);
  assert.equal(rms([]), 0);
});

test("history keeps its span and one entry before it", () => {
  const history = new History(1000);
  for (let time = 0; time <= 5000; time += 250) history.add(time, time);
  assert.equal(history.entries[0].time, 4000);
  assert.equal(history.last, 5000);
  history.clear();
  assert.equal(history.last, null);
});

test("an axis ends at a round number at or above the value", () => {
  assert.deepEqual([axisTop(0), axisTop(101), axisTop(160), axisTop(420), axisTop(1000)], [100, 150, 200, 500, 1000]);
});

test("refusals of the microphone are told apart", () => {
  const named = (name) => Object.assign(new Error("x"), { name });
  const titles = ["NotAllowedError", "NotFoundError", "NotReadableError", "OverconstrainedError"].map((n) => explain(named(n)).title);
  assert.equal(new Set(titles).size, 4);
  assert.match(explain(named("NotAllowedError")).detail, /Allow/);
  assert.match(explain(new TypeError("undefined"), { secure: false }).title, /secure/);
});

test("problems of the server say what to do", () => {
  const full = explain(new ApiError(503, { detail: "no free session" }, 4200));
  assert.equal(full.title, "The server is full");
  assert.match(full.detail, /No free session\. .*5 s/);
  assert.equal(explain(new ApiError(503, { type: "/problems/not-ready", detail: "x" })).title, "The server is starting");
  const missing = explain(new ApiError(422, { detail: "no torch", install: "pip install 'seedvc-live[seed-vc]'" }));
  assert.equal(missing.command, "pip install 'seedvc-live[seed-vc]'");
  assert.equal(explain(new ApiError(401)).action, "token");
  assert.equal(explain(new ApiError(0)).title, "The server does not answer");
  const silent = explain(new ApiError(422, { type: "/problems/reference-silent", detail: "nothing is heard" }));
  assert.deepEqual([silent.title, silent.action], ["The clip is silent", "voice"]);
  assert.equal(explain(new NoVoiceError()).action, "voice");
});

test("only what can mend itself is tried again", () => {
  for (const error of [new LostError("x"), new ApiError(0), new ApiError(503), new ApiError(500)]) assert.ok(isPassing(error));
  for (const error of [new ApiError(401), new ApiError(404), new ApiError(422), new NoVoiceError(), new Error("x")]) {
    assert.ok(!isPassing(error));
  }
});

test("sentences", () => {
  assert.deepEqual([sentence("no voice"), sentence("Done."), sentence("")], ["No voice.", "Done.", ""]);
});

test("the life of a session", () => {
  const walk = (...events) => events.reduce(next, "idle");
  assert.equal(walk("start", "granted", "connected"), "live");
  assert.equal(walk("start", "failed"), "idle");
  assert.equal(walk("start", "granted", "connected", "lost", "retry", "connected"), "live");
  assert.equal(walk("start", "granted", "lost", "stop", "stopped"), "idle");
  assert.equal(walk("connected"), "idle");
  for (const state of STATES) {
    // Whatever happens, a person can stop, and stopping ends.
    const after = next(state, "stop");
    assert.ok(state === "idle" ? after === "idle" : after === "stopping");
    assert.ok(describe(state).length > 0);
  }
  assert.equal(describe("waiting", { seconds: 2 }), "Connection lost. Trying again in 2 s");
});
