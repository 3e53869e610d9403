"""nano under the live converter: what holds for every engine holds for it."""

from __future__ import annotations

import numpy as np
import pytest

from seedvc_live.audio.pcm import Pcm
from seedvc_live.engines.base import Voice
from seedvc_live.engines.nano.engine import NanoEngine, NanoSettings
from seedvc_live.engines.nano.profiles import PROFILES, Name
from seedvc_live.errors import SettingsError
from seedvc_live.live.converter import LiveConverter
from tests.engines.nano.streams import run


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("chunk", [160, 3841, 48000])
def test_chunking_changes_nothing(engine: NanoEngine, voice: Voice, low: Pcm, chunk: int, profile: Name) -> None:
    samples = low.samples[: 24000 + 13]
    settings = NanoSettings(profile=profile)
    live = LiveConverter(engine, voice, settings, seed=2)
    parts = [live.push(samples[i : i + chunk]) for i in range(0, len(samples), chunk)]
    out = np.concatenate([*parts, live.flush()])
    np.testing.assert_array_equal(out, run(engine, voice, samples, settings, seed=2)[0])


@pytest.mark.parametrize("changes", [{"profile": "quality"}, {"block": 0.2}])
def test_geometry_is_fixed_for_the_session(engine: NanoEngine, voice: Voice, changes: dict[str, object]) -> None:
    live = LiveConverter(engine, voice, NanoSettings(profile="low-latency"))
    with pytest.raises(SettingsError, match="cannot change while"):
        live.update(**changes)
    live.update(pitch_shift=2)
    assert live.algorithmic_latency <= 0.12
