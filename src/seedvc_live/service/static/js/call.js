/** One WebRTC connection to the server: offer, answer, candidates, statistics, end. */

import { SessionEvents } from "./events.js";
import { pickStats, receiving } from "./pure/delay.js";
import { LostError } from "./pure/problems.js";

const GATHERING_MS = 30; // as long as the offer waits for its candidates; later ones trickle
const CONNECTING_MS = 10000;
const STATS_MS = 500;
const STALL_MS = 1500; // the server sends a packet every 20 ms, in silence too

export class Call extends EventTarget {
  id = null;
  session = null;
  #pc = null;
  #events = null;
  #timer = 0;
  #ended = false;
  #inbound = null;
  #arrived = { packets: 0, at: 0 };

  /** @param {import("./api.js").Api} api @param {RTCIceServer[]} iceServers */
  constructor(api, iceServers) {
    super();
    this.api = api;
    this.#pc = new RTCPeerConnection({ iceServers, bundlePolicy: "max-bundle" });
  }

  /**
   * Connect. Dispatches "stream" (detail: MediaStream) as soon as there is one to be heard.
   *
   * @param {MediaStream} stream the microphone
   * @param {object} wanted voice, engine, settings, bypass
   * @throws {ApiError|LostError}
   */
  async open(stream, wanted) {
    const pc = this.#pc;
    pc.ontrack = ({ track, streams }) => this.#tell("stream", streams[0] ?? new MediaStream([track]));
    const trickled = this.#trickle();
    pc.addTransceiver(stream.getAudioTracks()[0], { direction: "sendrecv", streams: [stream] });
    await pc.setLocalDescription();
    await gathered(pc, GATHERING_MS);
    trickled.sent(pc.localDescription.sdp);
    this.session = await this.api.openSession({ sdp: pc.localDescription.sdp, type: "offer", ...wanted });
    this.id = this.session.id;
    if (this.#ended) return this.#abandon();
    trickled.open(this.id);
    await pc.setRemoteDescription({ type: "answer", sdp: this.session.sdp });
    this.#events = new SessionEvents(this.api, this.id, {
      stats: (stats) => this.#tell("stats", stats),
      state: (state) => state.state === "closed" && this.#lost(state.message || "The server ended the session."),
      gone: () => this.#lost("The server no longer knows this session."),
    });
    await this.#connected();
    this.#arrived = { packets: 0, at: performance.now() };
    this.#timer = setInterval(() => this.#watch(), STATS_MS);
  }

  /** Candidates found after the offer left: kept until the session has an id, then sent one by one. */
  #trickle() {
    const waiting = [];
    let id = null;
    let offered = "";
    const send = (candidate) => {
      if (candidate.candidate && offered.includes(candidate.candidate)) return;
      // A candidate that is not taken costs a path, not the session.
      this.api.candidate(id, candidate).catch(() => {});
    };
    this.#pc.onicecandidate = ({ candidate }) => {
      const entry = candidate
        ? { candidate: candidate.candidate, sdpMid: candidate.sdpMid, sdpMLineIndex: candidate.sdpMLineIndex }
        : { candidate: "" };
      if (id) send(entry);
      else waiting.push(entry);
    };
    return {
      sent: (sdp) => (offered = sdp),
      open: (session) => {
        id = session;
        waiting.forEach(send);
      },
    };
  }

  #connected() {
    const pc = this.#pc;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new LostError("No connection came about; a firewall may be in the way.")), CONNECTING_MS);
      this.addEventListener("lost", (event) => reject(new LostError(event.detail)), { once: true });
      const look = () => {
        if (pc.connectionState === "connected") {
          clearTimeout(timer);
          resolve();
        } else if (pc.connectionState === "failed") {
          this.#lost("The network path to the server broke.");
        }
      };
      pc.onconnectionstatechange = look;
      look();
    });
  }

  async #watch() {
    if (this.#ended) return;
    const { inbound, rttMs } = pickStats((await this.#pc.getStats()).values());
    if (this.#ended || !inbound) return;
    const now = performance.now();
    if (inbound.packetsReceived > this.#arrived.packets) this.#arrived = { packets: inbound.packetsReceived, at: now };
    const since = receiving(this.#inbound, inbound);
    this.#inbound = inbound;
    this.#tell("network", { ...since, rttMs });
    const silent = now - this.#arrived.at;
    if (silent > 4 * STALL_MS) this.#lost("Nothing arrives from the server any more.");
    else if (silent > STALL_MS) {
      // Whoever lost the session knows it at once; a network that is down answers nothing.
      this.api.session(this.id).catch((error) => error.status === 404 && this.#lost("The server lost this session."));
    }
  }

  /** @returns {Promise<object>} session as the server has it now */
  async update(changes) {
    this.session = { ...this.session, ...(await this.api.changeSession(this.id, changes)) };
    return this.session;
  }

  /** Send another track, without a new connection: another microphone, or a measuring signal. */
  async replaceTrack(track) {
    await this.#pc.getSenders()[0].replaceTrack(track);
  }

  getStats() {
    return this.#pc.getStats();
  }

  #tell(type, detail) {
    if (!this.#ended) this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #lost(reason) {
    this.#tell("lost", reason);
    this.close();
  }

  /** End it, here and on the server. Nothing is dispatched afterwards. */
  close() {
    if (this.#ended) return;
    this.#ended = true;
    clearInterval(this.#timer);
    this.#events?.close();
    this.#pc.onconnectionstatechange = this.#pc.onicecandidate = this.#pc.ontrack = null;
    this.#pc.close();
    this.#abandon();
  }

  #abandon() {
    if (this.id) this.api.closeSession(this.id).catch(() => {});
  }
}

/** Resolves when all candidates are known, at the latest after `limit` ms. */
function gathered(pc, limit) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      pc.removeEventListener("icegatheringstatechange", look);
      resolve();
    };
    const look = () => pc.iceGatheringState === "complete" && done();
    const timer = setTimeout(done, limit);
    pc.addEventListener("icegatheringstatechange", look);
    look();
  });
}
