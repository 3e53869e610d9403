"""The client that people have: headless Chromium, the web client's own connection, a WAV file as microphone."""

from __future__ import annotations

import base64
import importlib.util
import os
import shutil
import tempfile
import wave
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from seedvc_live.audio.pcm import Samples
from seedvc_live.errors import MissingPackageError, ServerError
from seedvc_live.evaluate.latency.report import Take
from seedvc_live.evaluate.latency.server import Server

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge")


def find_browser() -> str | None:
    """Path of an installed Chromium or relative; None when there is none."""
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


def available() -> bool:
    """Whether the browser and its driver are both installed."""
    return find_browser() is not None and importlib.util.find_spec("playwright") is not None


def launch_arguments(microphone: Path, insecure_origin: str | None = None) -> list[str]:
    """Switches of Chromium: `microphone` (WAV, looped) instead of a device, nobody to be asked, loopback allowed."""
    switches = [
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={microphone}",
        "--autoplay-policy=no-user-gesture-required",
        # Without these a browser on the server's own host may find no path to it.
        "--allow-loopback-in-peer-connection",
        "--disable-features=WebRtcHideLocalIpsWithMdns",
    ]
    if insecure_origin:
        switches.append(f"--unsafely-treat-insecure-origin-as-secure={insecure_origin}")
    return switches


def write_wav(path: Path, samples: Samples, rate: int) -> None:
    """16-bit mono, as Chromium's fake microphone reads it."""
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(np.rint(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())


def take(server: Server, microphone: Samples, rate: int, seconds: float, wanted: dict[str, Any]) -> Take:
    """Speak `microphone` (looped) for `seconds` after settling, and record both directions.

    Args:
        wanted: the session's engine, voice, settings and bypass.

    Raises:
        MissingPackageError: no browser, or no driver.
        ServerError: the page could not connect, or the connection broke.
    """
    browser_path = find_browser()
    if browser_path is None or not available():
        raise MissingPackageError(
            "the Chromium client needs a browser and its driver: apt-get install chromium && "
            "pip install 'seedvc-live[latency]' (or --client aiortc)"
        )
    from playwright.sync_api import Error, sync_playwright

    script = (files("seedvc_live.evaluate.latency") / "chromium.js").read_text()
    given = {"token": server.token, "seconds": seconds, "wanted": wanted}
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "microphone.wav"
        write_wav(wav, microphone, rate)
        insecure = None if server.loopback or server.url.startswith("https") else server.url
        try:
            with sync_playwright() as driver:
                browser = driver.chromium.launch(
                    executable_path=browser_path,
                    args=launch_arguments(wav, insecure),
                    # Chromium refuses to be root inside its own sandbox.
                    chromium_sandbox=os.geteuid() != 0,
                )
                try:
                    page = browser.new_page(ignore_https_errors=server.loopback)
                    page.set_default_timeout(30_000)
                    page.goto(f"{server.url}/")
                    result = page.evaluate(script, given)
                finally:
                    browser.close()
        except Error as error:
            first = error.message.strip().splitlines()[0]
            raise ServerError(f"the browser could not measure {server.url}: {first}") from None
    sent, heard = _decode(result["sent"]), _decode(result["heard"])
    return Take(
        sent, heard, int(result["rate"]), result["delay"], result["client"], first_audio_ms=result["firstAudio"]
    )


def _decode(text: str) -> Samples:
    return (np.frombuffer(base64.b64decode(text), "<i2") / 32767).astype(np.float32)
