"""The passthrough engine: gives the source back. It tests the transport, at any geometry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from seedvc_live.audio.pcm import Pcm
from seedvc_live.engines.base import Block, Engine, Geometry, Settings, Voice, Window
from seedvc_live.engines.reference import check_reference


class PassthroughSettings(Settings):
    """Window sizes are free, so that every kind of join can be tried. Seconds, except `join`."""

    per_session: ClassVar[frozenset[str]] = frozenset(
        {"block", "left_context", "lookahead", "crossfade", "search", "join"}
    )

    block: float = Field(default=0.02, ge=0.001, le=2.0, description="block length in seconds")
    left_context: float = Field(default=0.0, ge=0.0, le=30.0)
    lookahead: float = Field(default=0.0, ge=0.0, le=5.0)
    crossfade: float = Field(default=0.0, ge=0.0, le=0.5)
    search: float = Field(default=0.0, ge=0.0, le=0.1)
    join: Literal["none", "cos2", "sola"] = "none"


class PassthroughEngine(Engine):
    """Returns each window's own samples."""

    name = "passthrough"
    settings_type = PassthroughSettings
    needs_reference = False

    def __init__(self, sample_rate: int = 48_000) -> None:
        """
        Args:
            sample_rate: Hz; Opus' own by default, so that nothing is resampled.
        """
        self._rate = sample_rate

    @property
    def sample_rate(self) -> int:
        return self._rate

    @property
    def weights_hash(self) -> str:
        return "none"

    def geometry(self, settings: Settings, voice: Voice) -> Geometry:
        if not isinstance(settings, PassthroughSettings):
            settings = PassthroughSettings(block=settings.block)
        sizes = {
            name: round(getattr(settings, name) * self._rate)
            for name in ("left_context", "lookahead", "crossfade", "search")
        }
        return Geometry(block=max(1, round(settings.block * self._rate)), join=settings.join, **sizes)

    def enroll(self, reference: Pcm) -> Voice:
        check_reference(reference)
        return self.default_voice()

    def default_voice(self) -> Voice:
        return Voice(self.name, self.weights_hash, {"unused": np.zeros(1, dtype=np.float32)})

    def convert(self, windows: Sequence[Window]) -> list[Block]:
        blocks = []
        for window in windows:
            geometry = self.geometry(window.settings, window.voice)
            first = geometry.left_context
            blocks.append(Block(window.start, window.samples[first : first + geometry.converted].copy()))
        return blocks
