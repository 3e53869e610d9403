"""Small real engines for tests of what surrounds an engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from seedvc_live.audio.pcm import Pcm
from seedvc_live.engines.base import Block, Engine, Geometry, Settings, Voice, Window


class ModulatorSettings(Settings):
    depth: float = 0.5


class ModulatorEngine(Engine):
    """Ring modulation whose phase travels in the state, with noise indexed by absolute sample.

    The voice is the modulator's frequency. Converted whole or in blocks, the result is the same up to
    rounding, so every defect of framing, joining or state shows.
    """

    name: ClassVar[str] = "modulator"
    settings_type = ModulatorSettings

    def __init__(self, geometry: Geometry, rate: int = 8000) -> None:
        self._geometry = geometry
        self._rate = rate
        self.calls = 0

    @property
    def sample_rate(self) -> int:
        return self._rate

    @property
    def weights_hash(self) -> str:
        return "modulator-1"

    def geometry(self, settings: Settings, voice: Voice) -> Geometry:
        return self._geometry

    def enroll(self, reference: Pcm) -> Voice:
        return self.voice(float(np.mean(np.abs(reference.samples))) * 100.0)

    def voice(self, hertz: float) -> Voice:
        return Voice(self.name, self.weights_hash, {"hertz": np.array([hertz])})

    def convert(self, windows: Sequence[Window]) -> list[Block]:
        self.calls += 1
        return [self._convert(window) for window in windows]

    def _convert(self, window: Window) -> Block:
        geometry = self._geometry
        phase = 0.0 if window.state is None else float(window.state["phase"][0])
        step = 2.0 * np.pi * float(window.voice.tensors["hertz"][0]) / self._rate
        part = window.samples[geometry.left_context : geometry.left_context + geometry.converted]
        carrier = np.cos(phase + step * np.arange(geometry.converted))
        assert isinstance(window.settings, ModulatorSettings)
        depth = window.settings.depth
        samples = (part * (1.0 - depth + depth * carrier)).astype(np.float32)
        state = {"phase": np.array([(phase + step * geometry.block) % (2.0 * np.pi)])}
        return Block(window.start, samples, state)

    def offline(self, samples: np.ndarray, hertz: float, depth: float = 0.5) -> np.ndarray:
        """What the whole stream should come out as."""
        carrier = np.cos(2.0 * np.pi * hertz / self._rate * np.arange(len(samples)))
        return (samples * (1.0 - depth + depth * carrier)).astype(np.float32)
