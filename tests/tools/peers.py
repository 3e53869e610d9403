"""Real peers on the loopback: gst-launch-1.0 senders and receivers, and the command under test."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import wave
from pathlib import Path
from typing import Any

import numpy as np

OPUS_CAPS = "application/x-rtp,media=audio,encoding-name=OPUS,clock-rate=48000"


def free_port() -> int:
    """A UDP port of the loopback that nobody has."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_bound(port: int, timeout: float = 60.0) -> None:
    """Wait until somebody listens on the UDP port.

    Raises:
        TimeoutError: nobody did.
    """
    wanted = f"{port:04X}"
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        for line in Path("/proc/net/udp").read_text().splitlines()[1:]:
            if line.split()[1].endswith(f":{wanted}"):
                return
        time.sleep(0.02)
    raise TimeoutError(f"nobody listens on UDP port {port}")


def gst(*words: str) -> subprocess.Popen[bytes]:
    """Start gst-launch-1.0 with a pipeline given as words."""
    return subprocess.Popen(["gst-launch-1.0", "-q", "-e", *words], stderr=subprocess.PIPE)


def end(process: subprocess.Popen[bytes], timeout: float = 20.0) -> None:
    """Interrupt a process and wait for it."""
    process.send_signal(signal.SIGINT)
    try:
        process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise


def command(*words: str | Path) -> list[str]:
    """The command line under test."""
    return [sys.executable, "-m", "seedvc_live", *map(str, words)]


def run_command(*words: str | Path, timeout: float = 120.0) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    return subprocess.run(command(*words), capture_output=True, text=True, timeout=timeout, check=False)


def report_of(process: subprocess.Popen[str], timeout: float = 60.0) -> dict[str, Any]:
    """Wait for a `stream --json` to end well; its report."""
    out, err = process.communicate(timeout=timeout)
    assert process.returncode == 0, err
    result: dict[str, Any] = json.loads(out)
    return result


def write_wav(path: Path, samples: np.ndarray, rate: int, channels: int = 1) -> Path:
    """16-bit WAV by the standard library, for tests of readers."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return path


def read_wav(path: Path) -> tuple[np.ndarray, int]:
    """16-bit WAV by the standard library: (samples (n,) of the first channel, rate)."""
    with wave.open(str(path), "rb") as file:
        assert file.getsampwidth() == 2
        data = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, file.getnchannels())
        return data[:, 0].astype(np.float32) / 32768.0, file.getframerate()


def lag(output: np.ndarray, source: np.ndarray, at: float, seconds: float, rate: int, most: float) -> float:
    """By how much `output` lags `source` at time `at` of the output, seconds, by cross-correlation."""
    first, size, reach = int(at * rate), int(seconds * rate), int(most * rate)
    part = output[first : first + size]
    begin = max(0, first - reach)
    span = source[begin : first + reach + size]
    length = 1 << (len(span) + len(part)).bit_length()
    spectrum = np.fft.rfft(span, length) * np.conj(np.fft.rfft(part, length))
    scores = np.fft.irfft(spectrum, length)[: len(span) - len(part) + 1]
    return (first - begin - int(np.argmax(scores))) / rate
