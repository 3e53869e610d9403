"""Mouth to ear in Chromium over loopback, and the time from the click on Start to the first converted sound.

    python bench/webrtc_latency.py [--seconds 30] [--starts 10] [--real-time] [--output FILE]

Starts a server of its own, measures in one run:

* passthrough, by chirps; nano, by chirps through the bypass and by the envelope of converted speech
  (`seedvc-live latency`; what is measured: docs/latency.md);
* nano's p95 against its bound: passthrough's p95 + algorithmic latency + p99 block compute + 20 ms;
* passthrough again with `serve --jitter-buffer-ms 20` and blocks of 10 ms, for networks without jitter;
* the real page, clicked: from the click to the first converted sound that is heard, several times, the speaker
  already talking.

Needs Chromium and the extra `latency`. `--real-time` (as root) keeps a busy machine's other work out of the
figures; the result says so.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np

from seedvc_live import load_audio
from seedvc_live.evaluate.latency.chromium import find_browser, launch_arguments, write_wav
from seedvc_live.evaluate.latency.report import table
from seedvc_live.evaluate.latency.run import measure
from seedvc_live.machine import describe

PROFILES = ("low-latency", "balanced")
NEAR_MS = 20
AIMS = {"passthrough_p95_ms": 100, "nano_p95_ms": 150, "click_to_sound_ms": 700, "click_to_sound_must_ms": 1500}


def start_server(folder: Path, jitter_buffer_ms: int) -> tuple[subprocess.Popen[str], str]:
    log = (folder / "serve.log").open("w")
    command = [sys.executable, "-m", "seedvc_live", "serve", "--port", "0", "--voices", str(folder / "voices")]
    command += ["--workers", "1", "--jitter-buffer-ms", str(jitter_buffer_ms)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout is not None
    url = process.stdout.readline().split()[-1]
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=5):
                return process, url
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.2)
    raise TimeoutError((folder / "serve.log").read_text())


def block_buckets(url: str) -> dict[float, float]:
    """How many blocks took at most so many seconds, from /metrics; all sessions so far."""
    text = urllib.request.urlopen(f"{url}/metrics", timeout=5).read().decode()
    buckets: dict[float, float] = {}
    for edge, count in re.findall(r'block_seconds_bucket\{[^}]*le="([^"]+)"[^}]*\} (\S+)', text):
        seconds = float(edge.replace("+Inf", "inf"))
        buckets[seconds] = buckets.get(seconds, 0.0) + float(count)
    return dict(sorted(buckets.items()))


def block_p99_ms(before: dict[float, float], after: dict[float, float]) -> float:
    """99 % of the blocks converted in between took less; linear within a bucket, as Prometheus has it.

    Blocks of less than 2 ms are left out: they were bypassed, not converted.
    """
    counts = {edge: after[edge] - before.get(edge, 0.0) for edge in after}
    least = max((count for edge, count in counts.items() if edge <= 0.002), default=0.0)
    wanted = least + 0.99 * (max(counts.values()) - least)
    low, below = 0.0, 0.0
    for edge, count in counts.items():
        if count >= wanted:
            share = (wanted - below) / (count - below) if count > below else 1.0
            return 1000 * (low + (edge - low) * share if np.isfinite(edge) else low)
        low, below = edge, count
    raise ValueError("no block was converted")


def clicks(url: str, engine: str, times: int) -> list[float]:
    """ms from the click to the first converted sound, in the real page; the fake speaker never pauses."""
    from playwright.sync_api import sync_playwright

    taken = []
    with tempfile.TemporaryDirectory() as name, as_file(files("seedvc_live") / "data") as data:
        folder = Path(name)
        speech = load_audio(data / "source.flac")
        loud = np.abs(speech.samples) > 0.02
        voiced = speech.samples[np.flatnonzero(loud)[0] :][: 2 * speech.rate]
        write_wav(folder / "speech.wav", np.concatenate([voiced, voiced[::-1]]), speech.rate)
        with sync_playwright() as driver:
            browser = driver.chromium.launch(
                executable_path=find_browser(),
                args=launch_arguments(folder / "speech.wav"),
                chromium_sandbox=os.geteuid() != 0,
            )
            page = browser.new_page()
            page.goto(url)
            page.wait_for_selector("body[data-loaded]")
            page.set_input_files("#clip-file", str(data / "reference.flac"))
            page.click("#draft-save")
            page.wait_for_selector(".voice input:checked", timeout=60_000)
            page.select_option("#engine", engine)
            for count in range(times):
                page.click("#start")
                found = "performance.getEntriesByName('seedvc-first-audio').length"
                deadline = time.monotonic() + 20
                while page.evaluate(found) <= count and time.monotonic() < deadline:
                    page.wait_for_timeout(50)
                taken = page.evaluate("performance.getEntriesByName('seedvc-first-audio').map((e) => e.duration)")
                page.click("#stop")
                page.wait_for_selector("body[data-state=idle]")
                page.wait_for_timeout(500)
            browser.close()
    print(f"click to first sound, {engine}: {taken}", flush=True)
    return [round(value) for value in taken]


def summary(values: list[float]) -> dict[str, Any]:
    return {"median_ms": statistics.median(values), "max_ms": max(values), "all_ms": values}


def in_real_time() -> None:
    """Let this process and all that it starts go before every ordinary process (SCHED_RR; needs root)."""
    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))


def run(seconds: float, starts: int, jitter_buffer_ms: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        process, url = start_server(Path(name), jitter_buffer_ms)
        try:
            plain = measure(url, "passthrough", "chromium", seconds)
            print(table(plain), flush=True)
            nano, bounds = {}, {}
            for profile in PROFILES:
                before = block_buckets(url)
                nano[profile] = measure(url, "nano", "chromium", seconds, settings={"profile": profile})
                print(table(nano[profile]), flush=True)
                time.sleep(1)  # the last statistics are on their way
                p99 = block_p99_ms(before, block_buckets(url))
                bound = plain["p95_ms"] + nano[profile]["parts"]["algorithmic"] + p99 + 20
                bounds[profile] = {
                    "nano_p95_ms": nano[profile]["p95_ms"],
                    "bound_ms": round(bound, 1),
                    "block_p99_ms": round(p99, 1),
                    "holds": nano[profile]["p95_ms"] <= bound,
                }
            click = {engine: summary(clicks(url, engine, starts)) for engine in ("passthrough", "nano")}
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)
    return {"passthrough": plain, "nano": nano, "bounds": bounds, "click_to_first_sound": click}


def near(seconds: float) -> dict[str, Any]:
    """passthrough once more, as one would serve a network without jitter: a shallow play-out, short blocks."""
    with tempfile.TemporaryDirectory() as name:
        process, url = start_server(Path(name), NEAR_MS)
        try:
            measured = measure(url, "passthrough", "chromium", seconds, settings={"block": 0.01})
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)
    print(table(measured), flush=True)
    return {"jitter_buffer_ms": NEAR_MS, **measured}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--starts", type=int, default=10)
    parser.add_argument("--real-time", action="store_true", help="server and browser before everything else; root")
    parser.add_argument("--jitter-buffer-ms", type=int, default=40, help="of the server")
    parser.add_argument("--output", type=Path, default=Path("bench/results/webrtc_latency.json"))
    given = parser.parse_args()
    if given.real_time:
        in_real_time()
    load = os.getloadavg()[0]
    result = run(given.seconds, given.starts, given.jitter_buffer_ms)
    result["passthrough_near"] = near(given.seconds)
    result = {
        **result,
        "aims": AIMS,
        "machine": {**describe(), "browser": subprocess.getoutput(f"{find_browser()} --version 2>/dev/null").strip()},
        "jitter_buffer_ms": given.jitter_buffer_ms,
        "load_average_before": round(load, 1),
        "real_time": given.real_time,
        "measured": time.strftime("%Y-%m-%d", time.gmtime()),
    }
    given.output.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
