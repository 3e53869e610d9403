"""Audio for tests: signals, files written by NumPy alone, encoded files, reading whole sources."""

from __future__ import annotations

import struct
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np

ENCODERS = {
    "wav": ["wavenc"],
    "flac": ["flacenc"],
    "mp3": ["lamemp3enc", "!", "xingmux"],
    "ogg": ["vorbisenc", "!", "oggmux"],
    "opus": ["opusenc", "!", "oggmux"],
    "m4a": ["voaacenc", "!", "mp4mux"],
}


def tone(n: int, rate: int, frequency: float = 440.0, level: float = 0.5) -> np.ndarray:
    return (level * np.sin(2 * np.pi * frequency * np.arange(n) / rate)).astype(np.float32)


def wav_bytes(samples: np.ndarray, rate: int, kind: str = "s16") -> bytes:
    """A WAV file made by hand, so that the reader is not tested with its own writer."""
    frames = samples.reshape(len(samples), samples.shape[1] if samples.ndim == 2 else 1)
    tag, bits = {
        "u8": (1, 8),
        "s16": (1, 16),
        "s24": (1, 24),
        "s32": (1, 32),
        "f32": (3, 32),
        "f64": (3, 64),
    }[kind]
    if kind == "u8":
        data = (np.rint(frames * 128) + 128).clip(0, 255).astype("u1").tobytes()
    elif kind == "s16":
        data = np.rint(frames * 32768).clip(-32768, 32767).astype("<i2").tobytes()
    elif kind == "s24":
        data = np.rint(frames * 2.0**23).astype("<i4").view("u1").reshape(-1, 4)[:, :3].tobytes()
    elif kind == "s32":
        data = np.rint(frames.astype(np.float64) * (2.0**31 - 1)).astype("<i4").tobytes()
    else:
        data = frames.astype("<f4" if kind == "f32" else "<f8").tobytes()
    align = frames.shape[1] * bits // 8
    fmt = struct.pack("<HHIIHH", tag, frames.shape[1], rate, rate * align, align, bits)
    body = b"WAVE" + b"fmt " + struct.pack("<I", 16) + fmt + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def encode(wav: Path, target: Path, kind: str) -> Path:
    """`wav` encoded by gst-launch-1.0."""
    subprocess.run(
        [
            "gst-launch-1.0",
            "-q",
            "filesrc",
            f"location={wav}",
            "!",
            "wavparse",
            "!",
            "audioconvert",
            "!",
            "audioresample",
            "!",
            *ENCODERS[kind],
            "!",
            "filesink",
            f"location={target}",
        ],
        check=True,
        capture_output=True,
    )
    return target


def read_all(source: Any, pause: float = 0.0) -> np.ndarray:
    """Start, read to the end, stop."""
    parts = []
    try:
        source.start()
        while not source.ended:
            chunk = source.read_chunk(1.0)
            if chunk is not None:
                assert chunk.gap_samples == 0
                parts.append(chunk.samples)
            if pause:
                time.sleep(pause)
    finally:
        source.stop()
    return np.concatenate(parts)


def drain(source: Any, quiet: float = 0.3, limit: float = 30.0) -> tuple[np.ndarray, list[int]]:
    """Read a live source until nothing has come for `quiet` seconds: (samples, the gaps announced)."""
    parts, gaps, end = [np.zeros(0, np.float32)], [], time.monotonic() + limit
    while time.monotonic() < end:
        chunk = source.read_chunk(quiet)
        if chunk is None:
            break
        parts.append(chunk.samples)
        if chunk.gap_samples:
            gaps.append(chunk.gap_samples)
    return np.concatenate(parts), gaps
