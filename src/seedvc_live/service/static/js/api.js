/** The server's HTTP API. Every failure is an ApiError. */

import { retryAfter } from "./pure/backoff.js";
import { ApiError } from "./pure/problems.js";

const TOKEN = "seedvc-live-token";

export class Api {
  /** @param {string} base address of the page, whatever path it is served under */
  constructor(base = document.baseURI) {
    this.base = base;
    // Kept in this tab only: it opens the server to whoever has it.
    this.token = sessionStorage.getItem(TOKEN);
  }

  useToken(token) {
    this.token = token;
    sessionStorage.setItem(TOKEN, token);
  }

  /**
   * @param {string} method @param {string} path below the base
   * @param {{json?: object, form?: FormData, keepalive?: boolean, timeout?: number}} [options] timeout in ms
   * @returns {Promise<object|null>} the answer's JSON; null where there is none
   */
  async call(method, path, { json, form, keepalive = false, timeout = 20000 } = {}) {
    const headers = { Accept: "application/json" };
    if (json !== undefined) headers["Content-Type"] = "application/json";
    if (this.token) headers.Authorization = `Bearer ${this.token}`;
    const body = json === undefined ? form : JSON.stringify(json);
    let response;
    try {
      const signal = AbortSignal.timeout(timeout);
      response = await fetch(new URL(path, this.base), { method, headers, body, keepalive, signal, cache: "no-store" });
    } catch {
      throw new ApiError(0);
    }
    const text = await response.text().catch(() => "");
    const answer = parse(text);
    if (!response.ok) {
      throw new ApiError(response.status, answer ?? {}, retryAfter(response.headers.get("Retry-After"), Date.now()));
    }
    return answer;
  }

  config = () => this.call("GET", "api/config");
  engines = async () => (await this.call("GET", "api/engines")).engines;
  voices = async () => (await this.call("GET", "api/voices")).voices;
  iceServers = async () => (await this.call("GET", "api/ice-servers")).iceServers;

  /** The clip that comes with the package, so that there is a voice to begin with. @returns {Promise<Blob>} */
  async sampleClip() {
    const response = await fetch(new URL("static/sample-voice.flac", this.base)).catch(() => null);
    if (!response?.ok) throw new ApiError(response?.status ?? 0);
    return response.blob();
  }

  /** @param {Blob} clip @param {string} name @param {string} file name for the server's log */
  addVoice(clip, name, file) {
    const form = new FormData();
    form.append("name", name);
    form.append("clip", clip, file);
    return this.call("POST", "api/voices", { form, timeout: 120000 });
  }

  removeVoice = (id) => this.call("DELETE", `api/voices/${encodeURIComponent(id)}`);
  openSession = (offer) => this.call("POST", "api/sessions", { json: offer, timeout: 30000 });
  session = (id) => this.call("GET", `api/sessions/${id}`, { timeout: 4000 });
  changeSession = (id, changes) => this.call("PATCH", `api/sessions/${id}`, { json: changes });
  closeSession = (id) => this.call("DELETE", `api/sessions/${id}`, { keepalive: true });
  candidate = (id, candidate) => this.call("POST", `api/sessions/${id}/candidates`, { json: candidate });

  /** @returns {Promise<string>} address of a session's event stream: an EventSource cannot send a token */
  async eventsUrl(id) {
    const url = new URL(`api/sessions/${id}/events`, this.base);
    if (this.token) {
      const { ticket } = await this.call("POST", "api/tickets", { json: { session: id } });
      url.searchParams.set("ticket", ticket);
    }
    return url.href;
  }
}

function parse(text) {
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    return null;
  }
}
