/** The event stream of one session (server-sent events), opened anew when it breaks. */

const AGAIN_MS = 1000;

export class SessionEvents {
  #source = null;
  #timer = 0;
  #closed = false;

  /**
   * @param {import("./api.js").Api} api @param {string} id of the session
   * @param {{stats: (stats: object) => void, state: (state: object) => void, gone: () => void}} handlers
   */
  constructor(api, id, handlers) {
    this.api = api;
    this.id = id;
    this.handlers = handlers;
    this.#open();
  }

  async #open() {
    let url;
    try {
      url = await this.api.eventsUrl(this.id);
    } catch (error) {
      return this.#broken(error);
    }
    if (this.#closed) return;
    // A browser's own reconnecting would come back with a ticket that has run out.
    const source = new EventSource(url);
    this.#source = source;
    source.addEventListener("stats", (event) => this.handlers.stats(JSON.parse(event.data)));
    source.addEventListener("state", (event) => this.handlers.state(JSON.parse(event.data)));
    source.addEventListener("error", () => {
      source.close();
      // The stream ends when its session does; only the session's own page can tell.
      this.api.session(this.id).then(() => this.#broken(), (error) => this.#broken(error));
    });
  }

  #broken(error) {
    if (this.#closed) return;
    if (error?.status === 404) return this.handlers.gone();
    this.#timer = setTimeout(() => this.#open(), AGAIN_MS);
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#source?.close();
  }
}
