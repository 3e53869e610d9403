/** The engine and its settings, as a form made from the engine's JSON Schema. */

import { byId, make } from "./dom.js";
import { sentence } from "./pure/problems.js";
import { changed, fields, format, parse } from "./pure/schema.js";

const SETTLE_MS = 250; // a slider that is being moved sends its place, not its way

export class EnginePanel extends EventTarget {
  engines = [];
  #fields = [];
  #timer = 0;
  #pending = {};

  /**
   * Dispatches "engine" (another engine), "settings" (detail: name → value that can change at once) and "renew"
   * (settings that need a new connection).
   *
   * @param {import("./preferences.js").Preferences} preferences
   */
  constructor(preferences) {
    super();
    this.preferences = preferences;
    byId("engine").addEventListener("change", ({ target }) => {
      this.preferences.set("engine", target.value);
      this.#render();
      this.dispatchEvent(new Event("engine"));
    });
    byId("settings-reset").addEventListener("click", () => this.#reset());
  }

  /** @param {object[]} engines as the API lists them @param {string} fallback name of the server's default */
  show(engines, fallback) {
    this.engines = engines;
    const usable = engines.some(({ name, available }) => name === this.preferences.engine && available);
    if (!usable) this.preferences.set("engine", fallback);
    const options = engines.map(({ name, available }) =>
      make("option", { value: name, textContent: available ? name : `${name} (not here)` }),
    );
    byId("engine").replaceChildren(...options);
    byId("engine").value = this.preferences.engine;
    this.#render();
  }

  /** @returns {object|null} */
  get chosen() {
    return this.engines.find(({ name }) => name === this.preferences.engine) ?? null;
  }

  /** What differs from the engine's defaults. */
  get settings() {
    return changed(this.#fields, this.#stored());
  }

  #stored() {
    return this.preferences.settings[this.preferences.engine] ?? {};
  }

  #render() {
    const engine = this.chosen;
    this.#fields = engine ? fields(engine.settings, engine.per_session) : [];
    const values = { ...Object.fromEntries(this.#fields.map((one) => [one.name, one.initial])), ...this.settings };
    this.#note(engine);
    const usable = engine?.available !== false ? this.#fields : [];
    const controls = (held) => usable.filter(({ perSession }) => perSession === held).map((one) => this.#control(one, values[one.name]));
    const reconnecting = controls(true);
    const group = make("fieldset", {}, make("legend", { textContent: "Changing these reconnects" }), ...reconnecting);
    byId("settings").replaceChildren(...controls(false), ...(reconnecting.length ? [group] : []));
    this.#offerReset();
  }

  #note(engine) {
    const note = byId("engine-note");
    note.hidden = !engine;
    if (!engine) return;
    if (!engine.available) {
      const remedy = engine.install ?? `seedvc-live serve --engine ${engine.name}`;
      const reason = engine.install ? "Not installed on this server. Install it with: " : "This server was started without it. Start it with: ";
      note.replaceChildren(reason, make("code", { textContent: remedy }));
      return;
    }
    const latency = engine.algorithmic_latency_ms;
    const alone = Number.isFinite(latency) ? `Waits for ${Math.round(latency)} ms of speech. ` : "";
    note.textContent = alone + (engine.needs_reference ? "" : "Needs no voice: it gives back what it gets, to try the connection.");
  }

  #control(field, value) {
    const id = `setting-${field.name}`;
    const problem = make("p", { className: "wrong", id: `${id}-problem`, hidden: true });
    const hint = make("p", { className: "hint", id: `${id}-hint`, textContent: sentence(field.hint) });
    const shown = make("output", { htmlFor: id });
    const input = this.#input(field, value);
    input.id = id;
    input.setAttribute("aria-describedby", `${id}-hint ${id}-problem`);
    const read = () => (field.kind === "boolean" ? input.checked : input.value);
    const show = () => {
      if (field.slider) shown.textContent = format(Number(input.value), field.step);
    };
    show();
    input.addEventListener("input", show);
    input.addEventListener("change", () => {
      const { value: parsed, error } = parse(field, read());
      problem.textContent = error ? `${field.label}: ${error}` : "";
      problem.hidden = error === null;
      input.setAttribute("aria-invalid", String(error !== null));
      if (error === null) this.#changed(field, parsed);
    });
    if (field.kind === "boolean") {
      const label = make("label", { className: "switch" }, input, make("span", { textContent: field.label }));
      return make("div", { className: "setting" }, label, hint, problem);
    }
    const label = make("label", { htmlFor: id, textContent: field.label });
    return make("div", { className: "setting" }, label, shown, input, hint, problem);
  }

  #input(field, value) {
    if (field.kind === "boolean") return make("input", { type: "checkbox", checked: Boolean(value) });
    if (field.kind === "choice") {
      const options = field.choices.map((choice) => make("option", { value: String(choice), textContent: String(choice) }));
      const select = make("select", {}, ...options);
      select.value = String(value);
      return select;
    }
    if (field.kind === "text") return make("input", { type: "text", value: value ?? "" });
    const input = make("input", { type: field.slider ? "range" : "number" });
    // The range has to be there before the value, or the browser clips it to 0 … 100.
    if (field.min !== null) input.min = field.min;
    if (field.max !== null) input.max = field.max;
    input.step = field.slider ? field.step : "any";
    if (field.optional) input.placeholder = "the engine’s choice";
    input.value = value ?? "";
    return input;
  }

  #changed(field, value) {
    const engine = this.preferences.engine;
    const all = { ...this.#stored(), [field.name]: value };
    this.preferences.set("settings", { ...this.preferences.settings, [engine]: changed(this.#fields, all) });
    this.#offerReset();
    this.#announce({ [field.name]: value });
  }

  /** Several changes in one go are one request, or one new connection. */
  #announce(values) {
    Object.assign(this.#pending, values);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      const pending = this.#pending;
      this.#pending = {};
      const held = this.#fields.some(({ name, perSession }) => perSession && name in pending);
      if (held) this.dispatchEvent(new Event("renew"));
      else this.dispatchEvent(new CustomEvent("settings", { detail: pending }));
    }, SETTLE_MS);
  }

  #offerReset() {
    byId("settings-reset").hidden = Object.keys(this.settings).length === 0;
  }

  #reset() {
    const before = this.settings;
    const initial = Object.fromEntries(this.#fields.filter(({ name }) => name in before).map(({ name, initial: value }) => [name, value]));
    this.preferences.set("settings", { ...this.preferences.settings, [this.preferences.engine]: {} });
    this.#render();
    byId("engine").focus();
    this.#announce(initial);
  }
}
