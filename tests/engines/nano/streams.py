"""Help for the engine's tests: drive windows as a stream does, and signals to drive them with."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from seedvc_live.audio.pcm import Pcm, Samples
from seedvc_live.engines.base import State, Voice, Window
from seedvc_live.engines.nano import excitation, grid, pitch
from seedvc_live.engines.nano.engine import NanoEngine, NanoSettings

DATA = Path(__file__).parents[2] / "data"


def speech(name: str) -> Pcm:
    """A recorded clip of the tests' data at 24 kHz: `source_s2` (111 Hz) or `s2p1` (353 Hz)."""
    import soxr

    with np.load(DATA / f"campplus_{name}.npz") as file:
        samples = file["wav_i16"].astype(np.float32) / 32768
    return Pcm(np.asarray(soxr.resample(samples, 16000, grid.RATE), np.float32), grid.RATE)


def windows(engine: NanoEngine, voice: Voice, samples: Samples, settings: NanoSettings, seed: int = 0) -> list[Window]:
    """All windows of a stream, without states."""
    geometry = engine.geometry(settings, voice)
    blocks = -(-len(samples) // geometry.block)
    padded = np.pad(samples, (geometry.left_context, blocks * geometry.block - len(samples) + geometry.lookahead))
    return [
        Window(start, padded[start : start + geometry.window], voice, settings, seed)
        for start in range(0, blocks * geometry.block, geometry.block)
    ]


def with_state(window: Window, state: State | None) -> Window:
    return Window(window.start, window.samples, window.voice, window.settings, window.seed, state)


def run(
    engine: NanoEngine, voice: Voice, samples: Samples, settings: NanoSettings | None = None, seed: int = 0
) -> tuple[Samples, list[State]]:
    """A stream's output, cut to the input's length, and the state after each block."""
    state: State | None = None
    out, states = [], []
    for window in windows(engine, voice, samples, settings or NanoSettings(), seed):
        block = engine.convert([with_state(window, state)])[0]
        assert block.state is not None
        state = block.state
        out.append(block.samples)
        states.append(state)
    return np.concatenate(out)[: len(samples)], states


def median_pitch(engine: NanoEngine, samples: Samples) -> tuple[float, float]:
    """Median F0 in Hz of 24 kHz audio, and the share of frames that are voiced."""
    from seedvc_live.engines.nano.spectrum import to_analysis_rate

    log_f0, confidence = pitch.track(engine._pitch, to_analysis_rate(samples[None, : len(samples) // 3 * 3]))
    voiced = confidence[0] >= 0.5
    return float(np.exp(np.median(log_f0[0][voiced]))) if voiced.any() else 0.0, float(voiced.mean())


def white_noise(seconds: float, level: float) -> Samples:
    return excitation.noise(7, 0, round(seconds * grid.RATE)) * np.float32(level)
