"""The engines of a media worker: loaded, warmed up and measured once."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from statistics import median
from typing import Any

from seedvc_live.engine_thread import block_seconds, reserve_for
from seedvc_live.engines.base import Engine, Settings, Voice
from seedvc_live.engines.registry import load_engine
from seedvc_live.errors import EngineError, VoiceError
from seedvc_live.realtime import judge
from seedvc_live.session import check_voice

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Loaded:
    """An engine ready for sessions.

    Attributes:
        block: seconds of a block by default.
        reserve: seconds to reserve for such a block.
        usual: seconds that such a block usually takes.
        algorithmic: seconds of delay by default that no computer can avoid.
    """

    engine: Engine
    block: float
    reserve: float
    usual: float
    algorithmic: float

    def describe(self) -> dict[str, Any]:
        """For `hello`."""
        engine = self.engine
        return {
            "sample_rate": engine.sample_rate,
            "weights": engine.weights_hash,
            "algorithmic_latency_ms": round(1000.0 * self.algorithmic, 1),
            "reserve_ms": round(1000.0 * self.reserve, 1),
            "settings_schema": engine.settings_type.model_json_schema(),
            "per_session": sorted(engine.settings_type.per_session),
            "needs_reference": engine.needs_reference,
        }

    def reserve_for(self, settings: Settings) -> float:
        """Seconds to reserve for a block of that length."""
        return self.reserve * self._longer(settings)

    def usual_for(self, settings: Settings) -> float:
        """Seconds that a block of that length usually takes."""
        return self.usual * self._longer(settings)

    def load_of(self, settings: Settings) -> float:
        """Share of a core that a stream is expected to need."""
        return self.usual_for(settings) / settings.block

    def _longer(self, settings: Settings) -> float:
        # A shorter block hardly costs less: its context is the same.
        return max(1.0, settings.block / self.block)


def load_engines(names: Sequence[str]) -> dict[str, Loaded]:
    """
    Raises:
        EngineError: one does not exist or cannot be loaded.
    """
    loaded = {}
    for name in names:
        engine = load_engine(name)
        engine.warm_up()
        voice, settings = _some_voice(engine), engine.settings_type()
        geometry = engine.geometry(settings, voice)
        block, algorithmic = geometry.block / engine.sample_rate, geometry.algorithmic_latency / engine.sample_rate
        measured = block_seconds(engine, voice, settings)
        judge(name, min(measured) / block, allow_slow=True)
        loaded[name] = Loaded(engine, block, reserve_for(measured), median(measured), algorithmic)
        _LOG.info("engine %s: %.1f ms reserved for a block of %.0f ms", name, 1e3 * loaded[name].reserve, 1e3 * block)
    return loaded


def _some_voice(engine: Engine) -> Voice:
    """Any voice: a block costs the same with each."""
    if not engine.needs_reference:
        return engine.default_voice()
    from seedvc_live.media.load import load_audio

    with as_file(files("seedvc_live") / "data" / "reference.flac") as clip:
        return engine.enroll(load_audio(clip))


def pick(engines: Mapping[str, Loaded], name: object) -> Loaded:
    """
    Raises:
        EngineError: the worker has no such engine.
    """
    found = engines.get(name) if isinstance(name, str) else None
    if found is None:
        raise EngineError(f"engine '{str(name)[:40]}' is not served here; known: {', '.join(engines)}")
    return found


def load_voice(engine: Engine, path: object) -> Voice:
    """The voice stored at `path`; without one the engine's own.

    Raises:
        VoiceError: the file is missing or damaged, or the engine needs one.
        SettingsError: it was made by another engine or other weights.
    """
    if path is None:
        return engine.default_voice()
    if not isinstance(path, str):
        raise VoiceError("voice_file must be a path")
    voice = Voice.load(Path(path))
    check_voice(engine.name, engine.weights_hash, voice)
    return voice
