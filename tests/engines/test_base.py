from __future__ import annotations

import numpy as np
import pytest

from seedvc_live.audio.pcm import Pcm
from seedvc_live.engines.base import Geometry, Settings, Voice
from seedvc_live.engines.passthrough import PassthroughEngine
from seedvc_live.engines.registry import load_engine
from seedvc_live.errors import EngineError, SettingsError, VoiceError


def test_latency_is_what_must_arrive_before_a_block_can_leave() -> None:
    geometry = Geometry(1000, 400, 80, 20, 10, "sola")
    assert geometry.algorithmic_latency == 510
    assert geometry.window == 1510
    assert geometry.converted == 430


@pytest.mark.parametrize(
    "sizes",
    [
        {"block": 0},
        {"lookahead": -1},
        {"crossfade": 101, "join": "cos2"},
        {"crossfade": 5},
        {"crossfade": 5, "search": 5, "join": "cos2"},
        {"join": "sola"},
    ],
)
def test_impossible_geometries_are_refused(sizes) -> None:
    with pytest.raises(ValueError, match=r"must|may|takes|only|needs"):
        Geometry(**{"left_context": 0, "block": 100, "lookahead": 0, **sizes})


def test_settings_errors_name_field_and_range() -> None:
    with pytest.raises(SettingsError, match=r"setting 'block'.*0.02 to 2.0") as caught:
        Settings.parse({"block": 9})
    assert caught.value.field == "block"
    with pytest.raises(SettingsError, match="unknown setting 'blok'; known: block"):
        Settings.parse({"blok": 0.1})
    with pytest.raises(SettingsError, match="got 'soon'"):
        Settings.parse({"block": "soon"})


def test_settings_are_frozen_and_publish_a_schema() -> None:
    settings = Settings()
    with pytest.raises(ValueError, match="frozen"):
        settings.block = 0.3  # type: ignore[misc]
    assert Settings.model_json_schema()["properties"]["block"]["maximum"] == 2.0


def test_a_voice_survives_the_disk(tmp_path) -> None:
    voice = Voice("nano", "abc", {"style": np.arange(6, dtype=np.float32).reshape(2, 3)})
    voice.save(tmp_path / "v.safetensors")
    loaded = Voice.load(tmp_path / "v.safetensors")
    assert (loaded.engine, loaded.weights) == ("nano", "abc")
    assert np.array_equal(loaded.tensors["style"], voice.tensors["style"])


@pytest.mark.parametrize("content", [b"", b"not a voice at all, but long enough", None])
def test_what_is_not_a_voice_file_is_refused(tmp_path, content) -> None:
    path = tmp_path / "v.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(VoiceError, match="not a voice file"):
        Voice.load(path)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.full(8000, 0.1), "0.50 s long"),
        (np.zeros(32_000), "silent"),
        (np.full(32_000, np.nan), "not numbers"),
    ],
)
def test_unfit_references_are_refused(samples, message) -> None:
    with pytest.raises(VoiceError, match=message):
        PassthroughEngine().enroll(Pcm(samples, 16_000))


def test_unknown_engines_and_options_are_refused() -> None:
    with pytest.raises(EngineError, match="unknown engine 'mega'; known: nano, seed-vc, passthrough"):
        load_engine("mega")
    with pytest.raises(EngineError, match="no option 'model'"):
        load_engine("passthrough", model="x")
