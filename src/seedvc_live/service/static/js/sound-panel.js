/** Microphone, speaker, volume and the browser's processing of the microphone. */

import { PROCESSING, canChooseSpeaker, listDevices, secure } from "./devices.js";
import { byId, make } from "./dom.js";

export class SoundPanel {
  /**
   * @param {import("./preferences.js").Preferences} preferences
   * @param {import("./conductor.js").Conductor} conductor
   * @param {(error: unknown) => void} fail
   */
  constructor(preferences, conductor, fail) {
    this.preferences = preferences;
    const change = async (name, value) => {
      preferences.set(name, value);
      await conductor.changeMicrophone().catch(fail);
    };
    byId("microphone").addEventListener("change", ({ target }) => change("microphone", target.value));
    for (const name of PROCESSING) {
      byId(name).checked = preferences[name];
      byId(name).addEventListener("change", ({ target }) => change(name, target.checked));
    }
    byId("speaker-field").hidden = !canChooseSpeaker();
    byId("speaker").addEventListener("change", ({ target }) => {
      preferences.set("speaker", target.value);
      this.#useSpeaker().catch(fail);
    });
    byId("volume").value = preferences.volume;
    byId("volume").addEventListener("input", ({ target }) => {
      preferences.set("volume", Number(target.value));
      byId("output").volume = preferences.volume / 100;
    });
    byId("output").volume = preferences.volume / 100;
    // Devices have names only after the microphone was allowed.
    conductor.addEventListener("state", ({ detail }) => detail === "connecting" && this.refresh());
    if (secure()) navigator.mediaDevices.addEventListener("devicechange", () => this.refresh());
    this.refresh();
  }

  async refresh() {
    const { microphones, speakers } = await listDevices();
    fill(byId("microphone"), "Default microphone", microphones, this.preferences.microphone);
    fill(byId("speaker"), "Default speaker", speakers, this.preferences.speaker);
    if (canChooseSpeaker()) await this.#useSpeaker().catch(() => {});
  }

  async #useSpeaker() {
    const known = [...byId("speaker").options].some(({ value }) => value === this.preferences.speaker);
    await byId("output").setSinkId(known ? this.preferences.speaker : "");
  }
}

function fill(select, first, devices, chosen) {
  const options = devices.map(({ deviceId, label }) => make("option", { value: deviceId, textContent: label }));
  select.replaceChildren(make("option", { value: "", textContent: first }), ...options);
  select.value = devices.some(({ deviceId }) => deviceId === chosen) ? chosen : "";
}
