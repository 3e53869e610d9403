"""`seedvc-live stream` between real peers: gst-launch-1.0 sends, gst-launch-1.0 receives into a file."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.tools.peers import (
    OPUS_CAPS,
    command,
    end,
    free_port,
    gst,
    lag,
    read_wav,
    report_of,
    wait_bound,
    write_wav,
)
from tests.tools.relay import Relay

SECONDS = 12.0
RATE = 48_000
UDP_RATE = 22_050
FRAME = 0.02
LOSSES = {"none": {}, "5%": {"loss": 0.05}, "20%": {"loss": 0.2}, "bursts": {"loss": 0.1, "burst": 3}}


def speech() -> np.ndarray:
    """Syllable-shaped noise without repetition, 0 to 4 kHz: every instant is unlike every other."""
    count = int(SECONDS * RATE)
    time = np.arange(count) / RATE
    noise = np.convolve(np.random.default_rng(7).standard_normal(count), np.hanning(24) / 12, mode="same")
    return (0.2 * noise * (0.6 + 0.4 * np.sin(2 * np.pi * 3.1 * time))).astype(np.float32)


@dataclass
class Result:
    report: dict[str, Any]
    output: np.ndarray
    rate: int
    dropped: int


def convert_live(
    folder: Path,
    kind: str,
    loss: dict[str, Any],
    source: Path | None = None,
    engine: tuple[str, ...] = ("--engine", "passthrough"),
) -> Result:
    """Sender → relay → seedvc-live stream → receiver; the loss hits the middle of the stream only."""
    folder.mkdir()
    source = source or write_wav(folder / "source.wav", speech(), RATE)
    received = folder / ("received.wav" if kind == "rtp" else "received.raw")
    port_in, port_out = free_port(), free_port()
    with ExitStack() as stack:
        if kind == "rtp":
            depay = ("!", "rtpjitterbuffer", "!", "rtpopusdepay", "!", "opusdec", "!", "audioconvert")
            receiver = gst(
                "udpsrc", f"port={port_out}", f"caps={OPUS_CAPS}", *depay,
                "!", "audio/x-raw,channels=1", "!", "wavenc", "!", "filesink", f"location={received}",
            )  # fmt: skip
            addresses = (f"rtp://127.0.0.1:{port_in}", f"rtp://127.0.0.1:{port_out}")
            payload = ("audio/x-raw,rate=48000", "!", "opusenc", "!", "rtpopuspay")
        else:
            receiver = gst("udpsrc", f"port={port_out}", "!", "filesink", f"location={received}")
            query = f"?format=f32le&rate={UDP_RATE}&channels=1"
            addresses = (f"udp://127.0.0.1:{port_in}{query}", f"udp://127.0.0.1:{port_out}{query}")
            payload = (
                f"audio/x-raw,format=F32LE,rate={UDP_RATE},channels=1",
                "!", "audiobuffersplit", "output-buffer-duration=1/50",
            )  # fmt: skip
        stream = subprocess.Popen(
            command(
                "stream", *engine, "--input", addresses[0], "--output", addresses[1],
                "--idle-timeout", "2.5", "--json",
            ),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        stack.callback(stream.kill)
        wait_bound(port_out)
        wait_bound(port_in)
        relay = stack.enter_context(Relay(port_in, protect=200, until=380, **loss))
        sender = gst(
            "filesrc", f"location={source}", "!", "decodebin", "!", "audioconvert", "!", "audioresample",
            "!", *payload, "!", "udpsink", "host=127.0.0.1", f"port={relay.port}",
        )  # fmt: skip
        assert sender.wait(timeout=60) == 0, sender.stderr and sender.stderr.read()
        assert sender.stderr is not None
        sender.stderr.close()
        report = report_of(stream)
        end(receiver)
    if kind == "rtp":
        output, rate = read_wav(received)
    else:
        output, rate = np.fromfile(received, "<f4"), UDP_RATE
    return Result(report, output, rate, relay.dropped)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Result]:
    """All cases, two at a time: each lasts as long as the speech."""
    folder = tmp_path_factory.mktemp("network")
    cases = [(kind, loss) for kind in ("rtp", "udp") for loss in LOSSES]
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(convert_live, folder / f"{kind}-{loss}", kind, LOSSES[loss]) for kind, loss in cases]
        return {case: run.result() for case, run in zip(cases, runs, strict=True)}


ALL = [(kind, loss) for kind in ("rtp", "udp") for loss in LOSSES]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("kind", "loss"), ALL)
def test_duration_is_that_between_first_and_last_packet(results, kind, loss) -> None:
    result = results[kind, loss]
    if loss != "none":
        assert result.dropped > 5
    assert abs(len(result.output) / result.rate - SECONDS) <= 2 * FRAME + 0.0135  # opus' own look-ahead: 2 × 6.5 ms


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("kind", "loss"), ALL)
def test_the_delay_after_loss_is_the_delay_before(results, kind, loss) -> None:
    result = results[kind, loss]
    source = speech()
    if result.rate != RATE:
        index = np.arange(int(SECONDS * result.rate)) * RATE / result.rate
        source = np.interp(index, np.arange(len(source)), source)
    before = lag(result.output, source, 2.0, 1.5, result.rate, 0.3)
    after = lag(result.output, source, 9.5, 1.5, result.rate, 0.3)
    assert abs(after - before) <= 0.020


@pytest.mark.timeout(300)
@pytest.mark.parametrize("loss", list(LOSSES))
def test_lost_packets_are_counted(results, loss) -> None:
    result = results["rtp", loss]
    assert result.report["lost_packets"] == result.dropped
    assert (result.report["concealed_seconds"] >= 0.9 * result.dropped * FRAME) or loss == "none"
