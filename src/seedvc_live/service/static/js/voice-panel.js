/** The voices: pick, add (a file, or a recording made here), delete. */

import { byId, make } from "./dom.js";
import { openRawMicrophone, stopStream } from "./devices.js";
import * as message from "./message.js";
import { Recorder } from "./recorder.js";

const LONGEST = 30; // seconds; the server uses no more

export class VoicePanel extends EventTarget {
  voices = [];
  #draft = null;
  #recording = null;

  /**
   * Dispatches "change" when another voice was picked.
   *
   * @param {import("./api.js").Api} api @param {import("./preferences.js").Preferences} preferences
   * @param {Record<string, () => void>} actions of messages
   */
  constructor(api, preferences, actions) {
    super();
    this.api = api;
    this.preferences = preferences;
    this.actions = actions;
    this.limits = { bytes: Infinity };
    byId("clip-file").addEventListener("change", ({ target }) => {
      if (target.files.length) this.#offer(target.files[0], target.files[0].name);
      target.value = "";
    });
    byId("clip-record").addEventListener("click", () => this.#record());
    byId("sample-use").addEventListener("click", () => this.#useSample());
    byId("clip-stop").addEventListener("click", () => this.#finish());
    byId("draft").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#save();
    });
    byId("draft-discard").addEventListener("click", () => this.#discard());
    this.#acceptDrops(document.querySelector(".voices"));
  }

  /** @returns {object|null} the one that is picked */
  get chosen() {
    return this.voices.find(({ id }) => id === this.preferences.voice) ?? null;
  }

  async load() {
    this.voices = await this.api.voices();
    if (!this.chosen && this.voices.length) this.preferences.set("voice", this.voices[0].id);
    this.#render();
  }

  #render() {
    byId("voice-empty").hidden = byId("sample").hidden = this.voices.length > 0;
    byId("voice-list").replaceChildren(...this.voices.map((voice) => this.#row(voice)));
    this.dispatchEvent(new Event("render"));
  }

  #row(voice) {
    const radio = make("input", { type: "radio", name: "voice", value: voice.id, checked: voice.id === this.chosen?.id });
    radio.addEventListener("change", () => this.#pick(voice.id));
    const name = make("span", { className: "voice-name", textContent: voice.name, title: voice.name });
    const length = make("small", { textContent: `${Math.round(voice.seconds)} s` });
    const remove = make("button", { type: "button", className: "plain", textContent: "Delete" });
    remove.setAttribute("aria-label", `Delete ${voice.name}`);
    remove.addEventListener("click", () => this.#remove(voice));
    return make("div", { className: "voice" }, make("label", {}, radio, name, length), remove);
  }

  #pick(id) {
    this.preferences.set("voice", id);
    message.clear(byId("voice-message"));
    this.dispatchEvent(new Event("render"));
    this.dispatchEvent(new Event("change"));
  }

  async #remove(voice) {
    const dialog = byId("confirm-dialog");
    byId("confirm-text").textContent = `Delete the voice “${voice.name}”? Its clip is deleted from the server too.`;
    dialog.returnValue = "cancel";
    dialog.showModal();
    await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
    if (dialog.returnValue !== "ok") return;
    try {
      await this.api.removeVoice(voice.id);
    } catch (error) {
      if (error.status !== 404) return this.#fail(error);
    }
    await this.load().catch((error) => this.#fail(error));
    byId("voice-title").focus();
  }

  /** A newcomer hears something before having found a clip. */
  async #useSample() {
    const button = byId("sample-use");
    button.disabled = true;
    message.clear(byId("voice-message"));
    try {
      this.#added(await this.api.addVoice(await this.api.sampleClip(), "Sample voice", "sample-voice.flac"));
    } catch (error) {
      this.#fail(error);
    } finally {
      button.disabled = false;
    }
  }

  #added(voice) {
    this.voices = [voice, ...this.voices.filter(({ id }) => id !== voice.id)];
    this.#pick(voice.id);
    this.#render();
    byId("voice-title").focus();
  }

  async #record() {
    message.clear(byId("voice-message"));
    let stream;
    try {
      stream = await openRawMicrophone(this.preferences);
    } catch (error) {
      return this.#fail(error);
    }
    const recorder = new Recorder(stream);
    const begin = performance.now();
    const timer = setInterval(() => {
      const seconds = Math.floor((performance.now() - begin) / 1000);
      byId("clip-seconds").textContent = String(seconds);
      if (seconds >= LONGEST) this.#finish();
    }, 250);
    this.#recording = { stream, recorder, timer };
    byId("clip-seconds").textContent = "0";
    byId("clip-recording").hidden = false;
    byId("voice-sources").hidden = true;
    byId("clip-stop").focus();
  }

  async #finish() {
    const recording = this.#recording;
    if (!recording) return;
    this.#recording = null;
    clearInterval(recording.timer);
    const { blob, extension } = await recording.recorder.stop();
    stopStream(recording.stream);
    byId("clip-recording").hidden = true;
    this.#offer(blob, `My voice.${extension}`);
  }

  /** A clip that can be listened to and named before it goes to the server. */
  #offer(blob, file) {
    this.#discard();
    message.clear(byId("voice-message"));
    if (blob.size > this.limits.bytes) {
      const size = (this.limits.bytes / 2 ** 20).toFixed(0);
      return this.#fail(new Error(`The clip is larger than ${size} MB, the most this server takes.`));
    }
    this.#draft = { blob, file, url: URL.createObjectURL(blob) };
    byId("draft-audio").src = this.#draft.url;
    byId("draft-name").value = file.replace(/\.[^.]*$/, "").slice(0, 80);
    byId("voice-sources").hidden = true;
    byId("draft").hidden = false;
    byId("draft-name").focus();
    byId("draft-name").select();
  }

  #discard() {
    if (this.#draft) URL.revokeObjectURL(this.#draft.url);
    this.#draft = null;
    byId("draft-audio").removeAttribute("src");
    byId("draft").hidden = true;
    byId("voice-sources").hidden = false;
  }

  async #save() {
    const { blob, file } = this.#draft;
    const button = byId("draft-save");
    button.disabled = true;
    button.textContent = "Listening to it…";
    try {
      const voice = await this.api.addVoice(blob, byId("draft-name").value.trim(), file);
      this.#discard();
      this.#added(voice);
    } catch (error) {
      this.#fail(error);
    } finally {
      button.disabled = false;
      button.textContent = "Add voice";
    }
  }

  #fail(error) {
    message.show(byId("voice-message"), error, { token: this.actions.token });
  }

  #acceptDrops(panel) {
    const dragging = (on) => panel.classList.toggle("dragging", on);
    panel.addEventListener("dragover", (event) => {
      event.preventDefault();
      dragging(true);
    });
    panel.addEventListener("dragleave", () => dragging(false));
    panel.addEventListener("drop", (event) => {
      event.preventDefault();
      dragging(false);
      const [file] = event.dataTransfer.files;
      if (file) this.#offer(file, file.name);
    });
  }
}
