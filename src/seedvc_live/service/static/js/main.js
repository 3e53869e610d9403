/** Puts the page together: what is chosen where, and who has to know. */

import { Api } from "./api.js";
import { Conductor } from "./conductor.js";
import { DelayPanel } from "./delay-panel.js";
import { secure } from "./devices.js";
import { byId } from "./dom.js";
import { EnginePanel } from "./engine-panel.js";
import * as message from "./message.js";
import { Preferences } from "./preferences.js";
import { describe } from "./pure/lifecycle.js";
import { NoVoiceError } from "./pure/problems.js";
import { SoundPanel } from "./sound-panel.js";
import { Stage } from "./stage.js";
import { askForToken } from "./token-dialog.js";
import { VoicePanel } from "./voice-panel.js";

const STARTING_MS = 1000;

const api = new Api();
const preferences = new Preferences();

const actions = {
  token: enterToken,
  voice: () => byId("voice-title").focus(),
};
const voices = new VoicePanel(api, preferences, actions);
const engines = new EnginePanel(preferences);
const conductor = new Conductor(api, preferences, wanted);
const stage = new Stage(conductor, names, actions);
new DelayPanel(conductor);
new SoundPanel(preferences, conductor, (error) => stage.fail(error));

/** What a session is asked for. @throws {NoVoiceError} */
function wanted() {
  const engine = engines.chosen;
  const voice = voices.chosen?.id;
  if (engine?.needs_reference && !voice) throw new NoVoiceError();
  return {
    engine: preferences.engine,
    settings: engines.settings,
    bypass: stage.bypass,
    ...(voice && engine?.needs_reference ? { voice } : {}),
  };
}

function names() {
  const engine = engines.chosen;
  return { engine: engine?.name ?? "", voice: engine?.needs_reference === false ? "" : (voices.chosen?.name ?? "") };
}

/** Run what may fail, and say so on the stage. */
async function attempt(action) {
  try {
    await action();
  } catch (error) {
    stage.fail(error);
  }
}

voices.addEventListener("render", () => stage.showNames());
voices.addEventListener("change", () => {
  if (conductor.live && engines.chosen?.needs_reference) attempt(() => conductor.update({ voice: preferences.voice }));
});
engines.addEventListener("engine", () => {
  stage.showNames();
  attempt(() => conductor.renew());
});
engines.addEventListener("renew", () => attempt(() => conductor.renew()));
engines.addEventListener("settings", ({ detail }) => attempt(() => conductor.update({ settings: detail })));

async function enterToken() {
  await attempt(async () => {
    if (await askForToken(api)) await load();
  });
}

/** A server that has just been started has no engine yet: its workers are loading them. */
async function enginesOnceReady() {
  for (;;) {
    const list = await api.engines();
    if (list.some(({ available }) => available)) return list;
    byId("state").textContent = "The server is starting";
    await new Promise((resolve) => setTimeout(resolve, STARTING_MS));
  }
}

async function load() {
  const config = await api.config();
  byId("version").textContent = config.version;
  byId("open-token").hidden = !config.auth;
  voices.limits.bytes = config.max_clip_bytes ?? Infinity;
  if (config.auth && !api.token && !(await askForToken(api))) return;
  const [list] = await Promise.all([enginesOnceReady(), voices.load()]);
  engines.show(list, config.default_engine);
  stage.showNames();
  byId("state").textContent = describe(conductor.state, names());
  message.clear(byId("message"));
  document.body.dataset.loaded = "true";
}

byId("open-token").addEventListener("click", enterToken);
if (!secure()) stage.fail(new Error("insecure"));
await load().catch((error) => {
  message.show(byId("message"), error, { token: enterToken, retry: () => attempt(load) });
});
