from __future__ import annotations

import numpy as np
import pytest

from seedvc_live.audio.pcm import Pcm
from seedvc_live.engines.registry import load_engine
from seedvc_live.errors import EngineError
from seedvc_live.evaluate.convert import has_whole, stream, whole
from seedvc_live.live.converter import LiveConverter
from tests.tools.audio import tone


def test_a_streaming_conversion_is_what_a_live_session_gives_sample_for_sample() -> None:
    engine = load_engine("passthrough")
    voice, settings = engine.default_voice(), engine.settings_type()
    source = Pcm(tone(engine.sample_rate * 2 + 77, engine.sample_rate), engine.sample_rate)
    live = LiveConverter(engine, voice, settings)
    expected = np.concatenate([live.push(source.samples), live.flush()])
    done = stream(engine, voice, settings, source)
    np.testing.assert_array_equal(done.clip.samples, expected)
    assert done.real_time_factor is not None
    assert 0 < done.real_time_factor < 1


def test_the_source_is_resampled_to_the_engine() -> None:
    engine = load_engine("passthrough")
    done = stream(engine, engine.default_voice(), engine.settings_type(), Pcm(tone(16000, 16000), 16000))
    assert done.clip.rate == engine.sample_rate
    assert done.clip.seconds == pytest.approx(1, abs=1e-3)


class Louder(type(load_engine("passthrough"))):
    """Converts whole utterances too, into something that can be told from its streams."""

    def convert_whole(self, samples, voice, settings, seed):
        return samples * np.float32(2)


def test_whole_utterances_are_for_engines_that_have_them() -> None:
    engine, source = load_engine("passthrough"), Pcm(tone(8000, 16000, level=0.2), 16000)
    assert not has_whole(engine)
    with pytest.raises(EngineError, match="streams only"):
        whole(engine, engine.default_voice(), engine.settings_type(), source)
    louder = Louder()
    assert has_whole(louder)
    done = whole(louder, louder.default_voice(), louder.settings_type(), source)
    assert np.abs(done.clip.samples).max() == pytest.approx(0.4, rel=0.02)
