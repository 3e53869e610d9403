"""LiveConverter: one stream through an engine, sample in, sample out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from seedvc_live.audio.pcm import Samples
from seedvc_live.engines.base import Engine, Geometry, Settings, Voice
from seedvc_live.errors import FixedSettingError, SessionError
from seedvc_live.live.chain import BlockChain, Target
from seedvc_live.live.framer import Frame, Framer


def changed(engine: Engine, settings: Settings, changes: Mapping[str, Any]) -> Settings:
    """`settings` with `changes` applied.

    Raises:
        SettingsError: unknown or out of range.
        FixedSettingError: fixed for the session.
    """
    updated = engine.settings_type.parse({**settings.model_dump(), **changes})
    for field in sorted(settings.per_session):
        if getattr(updated, field) != getattr(settings, field):
            raise FixedSettingError(field, f"setting '{field}' cannot change while a session runs")
    return updated


class LiveConverter:
    """Converts a stream of samples as they come.

    Output sample i is input sample i, converted: `push` returns what is ready, `flush` the rest, and in
    all there are exactly as many samples as were pushed. How the input is cut into pushes does not change
    a bit of the output. `algorithmic_latency` says how far the output lags.

    **Usage**::

        live = LiveConverter(engine, engine.enroll(reference))
        out = [live.push(chunk) for chunk in chunks] + [live.flush()]
    """

    def __init__(self, engine: Engine, voice: Voice, settings: Settings | None = None, *, seed: int = 0) -> None:
        """
        Args:
            engine: its `sample_rate` is that of input and output.
            voice: enrolled by this engine.
            settings: the engine's own settings type; None for its defaults.
            seed: of the stream's random draws.
        """
        self.engine = engine
        self.settings = settings or engine.settings_type()
        self.geometry: Geometry = engine.geometry(self.settings, voice)
        self._framer = Framer(self.geometry)
        self._chain = BlockChain(self.geometry, Target(voice, self.settings), rate=engine.sample_rate, seed=seed)
        self._flushed = False

    @property
    def algorithmic_latency(self) -> float:
        """Seconds from a sample's arrival to the earliest instant its conversion can be emitted."""
        return self.geometry.algorithmic_latency / self.engine.sample_rate

    @property
    def bypass(self) -> bool:
        """True: emit the source itself, with the same delay. Takes effect, faded, at the next block."""
        return self._chain.target.bypass

    @bypass.setter
    def bypass(self, on: bool) -> None:
        self._chain.target = replace(self._chain.target, bypass=on)

    def set_voice(self, voice: Voice) -> None:
        """Speak with another voice from the next block on.

        Raises:
            FixedSettingError: the engine needs other window sizes for it.
        """
        if self.engine.geometry(self.settings, voice) != self.geometry:
            raise FixedSettingError("voice", "this voice needs other window sizes: start a new session")
        self._chain.target = replace(self._chain.target, voice=voice)

    def update(self, **changes: Any) -> None:
        """Change per-block settings from the next block on.

        Raises:
            SettingsError: unknown, out of range, or fixed for the session; nothing is changed then.
        """
        self.settings = changed(self.engine, self.settings, changes)
        self._chain.target = replace(self._chain.target, settings=self.settings)

    def push(self, samples: Samples) -> Samples:
        """Convert samples, shape (n,), float32, at the engine's rate; return what is ready, shape (m,).

        Raises:
            SessionError: the stream was flushed.
        """
        if self._flushed:
            raise SessionError("this converter was flushed; a new stream needs a new one")
        return self._convert(self._framer.push(samples))

    def flush(self) -> Samples:
        """End of stream: the rest, so that all pushed samples are out. Empty when called again."""
        if self._flushed:
            return np.zeros(0, dtype=np.float32)
        self._flushed = True
        already = self._framer.framed
        tail = self._convert(self._framer.flush())
        return tail[: self._framer.received - already]

    def _convert(self, frames: list[Frame]) -> Samples:
        out = []
        for frame in frames:
            plan = self._chain.plan(frame)
            blocks = self.engine.convert(plan.windows) if plan.windows else []
            out.append(self._chain.complete(plan, blocks))
        return np.concatenate(out) if out else np.zeros(0, dtype=np.float32)
