import assert from "node:assert/strict";
import { test } from "node:test";

import { changed, fields, format, label, niceStep, parse } from "../../src/seedvc_live/service/static/js/pure/schema.js";

const SCHEMA = {
  type: "object",
  $defs: { Join: { enum: ["none", "sola"], type: "string" } },
  properties: {
    block: { type: "number", default: 0.16, minimum: 0.08, maximum: 0.5, description: "block length in seconds" },
    pitch_shift: { type: "number", default: 0, minimum: -24, maximum: 24 },
    diffusion_steps: { type: "integer", default: 10, minimum: 1, maximum: 100 },
    auto_f0: { type: "boolean", default: true },
    join: { $ref: "#/$defs/Join", default: "none" },
    width: { type: "number", minimum: 0.04, maximum: 0.5 },
    gain: { anyOf: [{ type: "number", minimum: 0 }, { type: "null" }], default: null },
    tensor: { type: "array" },
  },
};
const byName = Object.fromEntries(fields(SCHEMA, ["block"]).map((one) => [one.name, one]));

test("what can change while speaking comes first; what no form can hold is left out", () => {
  assert.deepEqual(Object.keys(byName), ["pitch_shift", "diffusion_steps", "auto_f0", "join", "width", "gain", "block"]);
  assert.ok(byName.block.perSession && !byName.gain.perSession);
});

test("each kind of property becomes its kind of field", () => {
  assert.deepEqual([byName.block.kind, byName.block.slider, byName.block.min, byName.block.max], ["number", true, 0.08, 0.5]);
  assert.equal(byName.block.step, 0.005);
  assert.deepEqual([byName.diffusion_steps.whole, byName.diffusion_steps.step], [true, 1]);
  assert.equal(byName.auto_f0.kind, "boolean");
  assert.deepEqual([byName.join.kind, byName.join.choices, byName.join.initial], ["choice", ["none", "sola"], "none"]);
  assert.deepEqual([byName.gain.kind, byName.gain.slider, byName.gain.max], ["number", false, null]);
  assert.deepEqual([byName.width.slider, byName.width.optional, byName.block.optional], [false, true, false]);
  assert.equal(byName.block.hint, "block length in seconds");
});

test("an engine without settings has an empty form", () => {
  assert.deepEqual(fields({}), []);
  assert.deepEqual(fields(null), []);
});

test("labels read as words", () => {
  assert.deepEqual(["cfg_rate", "auto_f0", "block", "dit_context"].map(label), ["CFG rate", "Auto F0", "Block", "DiT context"]);
});

test("steps are round and about a hundred to the span", () => {
  for (const span of [0.42, 1, 2, 48, 99, 1000]) {
    const count = span / niceStep(span);
    assert.ok(count > 40 && count <= 101, `${span}: ${count}`);
  }
  assert.equal(niceStep(48), 0.5);
});

test("values are checked before they are sent", () => {
  assert.deepEqual(parse(byName.pitch_shift, "3.5"), { value: 3.5, error: null });
  assert.equal(parse(byName.pitch_shift, "25").error, "at most 24");
  assert.equal(parse(byName.block, "0.01").error, "at least 0.08");
  assert.equal(parse(byName.diffusion_steps, "2.5").error, "a whole number is needed");
  assert.equal(parse(byName.pitch_shift, "").error, "a number is needed");
  assert.equal(parse(byName.pitch_shift, "nonsense").error, "a number is needed");
  assert.deepEqual(parse(byName.width, ""), { value: null, error: null });
  assert.equal(parse(byName.width, "0.9").error, "at most 0.5");
  assert.deepEqual(parse(byName.join, "sola"), { value: "sola", error: null });
  assert.ok(parse(byName.join, "worse").error);
  assert.deepEqual(parse(byName.auto_f0, false), { value: false, error: null });
});

test("only what differs from the defaults and is still valid is sent", () => {
  const known = fields(SCHEMA, ["block"]);
  const stored = { block: 0.16, pitch_shift: 3, diffusion_steps: 500, gone: 1, auto_f0: false, width: null };
  assert.deepEqual(changed(known, stored), { pitch_shift: 3, auto_f0: false });
});

test("numbers show as many decimals as they have steps", () => {
  assert.deepEqual([format(0.16, 0.005), format(3, 0.5), format(10, 1), format(20, 10)], ["0.160", "3.0", "10", "20"]);
});
