/** An engine's JSON Schema (2020-12, as pydantic writes it) as a list of form fields. */

/**
 * @typedef {object} Field
 * @property {string} name
 * @property {string} label
 * @property {"number"|"boolean"|"choice"|"text"} kind
 * @property {boolean} slider a number with both ends and a default
 * @property {boolean} optional may be left empty: the engine then chooses
 * @property {boolean} whole only whole numbers
 * @property {number|null} min
 * @property {number|null} max
 * @property {number} step
 * @property {Array<string|number>} choices
 * @property {*} initial
 * @property {string} hint
 * @property {boolean} perSession cannot change while a session runs
 */

/** Words that are not said the way they are written. */
const SPOKEN = { cfg: "CFG", f0: "F0", dit: "DiT" };

/** @param {string} name @returns {string} "cfg_rate" → "CFG rate" */
export function label(name) {
  const words = name.split("_").map((word) => SPOKEN[word] ?? word);
  words[0] = words[0].charAt(0).toUpperCase() + words[0].slice(1);
  return words.join(" ");
}

/**
 * @param {object} schema of an object with properties
 * @param {string[]} perSession
 * @returns {Field[]} what can change at once first, otherwise in the schema's order
 */
export function fields(schema, perSession = []) {
  const held = new Set(perSession);
  const all = Object.entries(schema?.properties ?? {})
    .map(([name, property]) => field(name, resolve(property, schema), held.has(name)))
    .filter((one) => one !== null);
  return [...all.filter((one) => !one.perSession), ...all.filter((one) => one.perSession)];
}

/** Follow a reference, and look through `X | None`. */
function resolve(property, root) {
  if (property.$ref) {
    const target = property.$ref.split("/").slice(1).reduce((node, key) => node?.[key], root) ?? {};
    return resolve({ ...target, ...without(property, "$ref") }, root);
  }
  const options = property.anyOf ?? property.oneOf ?? property.allOf;
  if (options) {
    const real = options.filter((option) => option.type !== "null");
    if (real.length === 1) return resolve({ ...real[0], ...without(property, "anyOf", "oneOf", "allOf") }, root);
  }
  return property;
}

function without(object, ...names) {
  return Object.fromEntries(Object.entries(object).filter(([name]) => !names.includes(name)));
}

/** @returns {Field|null} null for what a form of simple fields cannot hold */
function field(name, property, perSession) {
  const common = {
    name,
    label: label(name),
    slider: false,
    optional: property.default === undefined || property.default === null,
    whole: false,
    min: null,
    max: null,
    step: 0,
    choices: [],
    initial: property.default ?? null,
    hint: property.description ?? "",
    perSession,
  };
  const choices = property.enum ?? (property.const === undefined ? null : [property.const]);
  if (choices) return { ...common, kind: "choice", choices };
  if (property.type === "boolean") return { ...common, kind: "boolean" };
  if (property.type === "string") return { ...common, kind: "text" };
  if (property.type !== "number" && property.type !== "integer") return null;

  const whole = property.type === "integer";
  const min = property.minimum ?? property.exclusiveMinimum ?? null;
  const max = property.maximum ?? property.exclusiveMaximum ?? null;
  const bounded = min !== null && max !== null;
  const step = property.multipleOf ?? (whole ? 1 : bounded ? niceStep(max - min) : 0.01);
  return { ...common, kind: "number", whole, min, max, step, slider: bounded && !common.optional };
}

/** About a hundred steps from end to end, of 1, 2 or 5 times a power of ten. */
export function niceStep(span) {
  const raw = span / 100;
  const power = 10 ** Math.floor(Math.log10(raw));
  const factor = [1, 2, 5].find((one) => one * power >= raw * 0.999) ?? 10;
  return Number((factor * power).toPrecision(6));
}

/**
 * A value as the API wants it.
 *
 * @param {Field} of
 * @param {string|number|boolean} value from an input
 * @returns {{value: *, error: string|null}}
 */
export function parse(of, value) {
  if (of.kind === "boolean") return { value: Boolean(value), error: null };
  if (of.kind === "choice") {
    const chosen = of.choices.find((choice) => String(choice) === String(value));
    return chosen === undefined ? { value: null, error: `not one of ${of.choices.join(", ")}` } : { value: chosen, error: null };
  }
  if (of.kind === "text") return { value: String(value), error: null };
  const empty = value === null || (typeof value === "string" && value.trim() === "");
  if (empty && of.optional) return { value: null, error: null };
  const number = empty ? NaN : Number(value);
  if (!Number.isFinite(number)) return { value: null, error: "a number is needed" };
  if (of.whole && !Number.isInteger(number)) return { value: null, error: "a whole number is needed" };
  if (of.min !== null && number < of.min) return { value: null, error: `at least ${of.min}` };
  if (of.max !== null && number > of.max) return { value: null, error: `at most ${of.max}` };
  return { value: number, error: null };
}

/**
 * Only what differs from the engine's own defaults, and only what the engine knows: settings kept from an earlier
 * visit may be of another version.
 *
 * @param {Field[]} known
 * @param {Record<string, *>} values
 */
export function changed(known, values) {
  const kept = {};
  for (const one of known) {
    if (!(one.name in values)) continue;
    const { value, error } = parse(one, values[one.name]);
    if (error === null && value !== one.initial) kept[one.name] = value;
  }
  return kept;
}

/** @param {number} number @param {number} step @returns {string} with as many decimals as the step has */
export function format(number, step) {
  const decimals = Math.min(6, Math.max(0, -Math.floor(Math.log10(step || 1) + 1e-9)));
  return number.toFixed(decimals);
}
