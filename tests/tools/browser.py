"""The web client in headless Chromium: a page with a WAV file as microphone, and what it sends and hears."""

from __future__ import annotations

import base64
import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seedvc_live.evaluate.latency.chromium import find_browser, launch_arguments

# Notes what the page opens; changes nothing.
WATCH = """
(() => {
  const media = navigator.mediaDevices;
  const original = media.getUserMedia.bind(media);
  window.watched = { microphones: [], peers: [], states: [] };
  media.getUserMedia = async (wanted) => {
    const stream = await original(wanted);
    watched.microphones.push(stream);
    return stream;
  };
  const Peer = RTCPeerConnection;
  window.RTCPeerConnection = function (...given) {
    const peer = new Peer(...given);
    watched.peers.push(peer);
    return peer;
  };
  addEventListener("DOMContentLoaded", () =>
    new MutationObserver(() => {
      const state = document.body.dataset.state;
      if (watched.states.at(-1)?.state !== state) watched.states.push({ state, at: performance.now() });
    }).observe(document.body, { attributeFilter: ["data-state"] }));
})();
"""

TAPE = """
async () => {
  const context = new AudioContext({ sampleRate: 24000 });
  await context.audioWorklet.addModule("static/js/tape.worklet.js");
  const tape = new AudioWorkletNode(context, "tape",
    { numberOfInputs: 2, numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit" });
  window.taped = [];
  tape.port.onmessage = ({ data }) => taped.push(data.channels);
  context.createMediaStreamSource(watched.microphones.at(-1)).connect(tape, 0, 0);
  context.createMediaStreamSource(document.getElementById("output").srcObject).connect(tape, 0, 1);
  window.tapeContext = context;
}
"""

REEL = """
async () => {
  await tapeContext.close();
  return [0, 1].map((side) => {
    const samples = new Int16Array(taped.reduce((sum, channels) => sum + channels[side].length, 0));
    let at = 0;
    for (const channels of taped) for (const x of channels[side]) samples[at++] = Math.max(-1, Math.min(1, x)) * 32767;
    const bytes = new Uint8Array(samples.buffer);
    let text = "";
    for (let i = 0; i < bytes.length; i += 0x8000) text += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
    return btoa(text);
  });
}
"""

STATS = """
async () => {
  const report = await watched.peers.at(-1).getStats();
  return [...report.values()].find((entry) => entry.type === "inbound-rtp" && entry.kind === "audio") ?? null;
}
"""

RATE = 24000


@dataclass
class Reel:
    """Both directions, sample by sample, 24 kHz."""

    sent: np.ndarray
    heard: np.ndarray


class Tape:
    """Records what the page sends and hears from now on."""

    def __init__(self, page: Any) -> None:
        self._page = page
        page.evaluate(TAPE)

    def now(self) -> int:
        """Samples recorded so far."""
        return int(self._page.evaluate("taped.reduce((sum, channels) => sum + channels[0].length, 0)"))

    def stop(self) -> Reel:
        sides = self._page.evaluate(REEL)
        return Reel(*((np.frombuffer(base64.b64decode(side), "<i2") / 32768).astype(np.float32) for side in sides))


@contextlib.contextmanager
def chromium(driver: Any, microphone: Path, refuse_microphone: bool = False) -> Iterator[Any]:
    """A browser. `refuse_microphone`: nobody answers its question, so the answer is no."""
    switches = launch_arguments(microphone)
    if refuse_microphone:
        switches.remove("--use-fake-ui-for-media-stream")
    browser = driver.chromium.launch(executable_path=find_browser(), args=switches, chromium_sandbox=os.geteuid() != 0)
    try:
        yield browser
    finally:
        browser.close()


@contextlib.contextmanager
def opened(browser: Any, url: str, loaded: bool = True, **context: Any) -> Iterator[Any]:
    """The web client in a context of its own, loaded, with its errors collected in `page.troubles`."""
    with contextlib.closing(browser.new_context(viewport={"width": 1280, "height": 900}, **context)) as inside:
        page = inside.new_page()
        page.troubles = []
        page.on("pageerror", lambda error: page.troubles.append(str(error)))
        page.on("console", lambda entry: "Security Policy" in entry.text and page.troubles.append(entry.text))
        page.add_init_script(WATCH)
        page.goto(url)
        if loaded:
            page.wait_for_selector("body[data-loaded]")
        yield page
        assert page.troubles == []


def add_voice(page: Any, clip: Path, name: str) -> None:
    """Through the page, as a person does."""
    page.set_input_files("#clip-file", str(clip))
    page.fill("#draft-name", name)
    page.click("#draft-save")
    page.wait_for_selector(f".voice:has-text('{name}') input:checked", timeout=60_000)


def start(page: Any) -> None:
    page.click("#start")
    page.wait_for_selector("body[data-state=live]", timeout=40_000)


def until(page: Any, condition: str, seconds: float = 40.0) -> None:
    """Wait until a JavaScript expression is true. Playwright's own way evals, which the page's policy forbids."""
    deadline = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, f"not within {seconds} s: {condition}"
        page.wait_for_timeout(50)


def wait_for_sound(page: Any) -> float:
    """Until converted sound is heard; ms since the click."""
    until(page, "performance.getEntriesByName('seedvc-first-audio').length > 0")
    return float(page.evaluate("performance.getEntriesByName('seedvc-first-audio').at(-1).duration"))
