"""Voices: what is accepted, what is kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from seedvc_live.audio.pcm import Pcm
from seedvc_live.engines.base import Voice
from seedvc_live.engines.nano import networks
from seedvc_live.engines.nano.engine import NanoEngine, NanoSettings
from seedvc_live.errors import ModelFileError, SettingsError, VoiceError
from tests.engines.nano.streams import run, windows

RATE = 24000


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        (np.zeros(RATE // 2), "at least 1 s"),
        (np.zeros(2 * RATE), "silent"),
        (np.full(2 * RATE, np.nan), "finite"),
        (np.full(2 * RATE, np.inf), "finite"),
        (np.full(2 * RATE, 5e-4), "silent"),
        (np.zeros(0), "at least 1 s"),
    ],
)
def test_unfit_references(engine: NanoEngine, samples: np.ndarray, reason: str) -> None:
    with pytest.raises(VoiceError, match=reason) as caught:
        engine.enroll(Pcm(samples, RATE))
    assert "\n" not in str(caught.value)


def test_a_click_is_not_a_voice(engine: NanoEngine) -> None:
    samples = np.zeros(2 * RATE, np.float32)
    samples[RATE] = 2e-3
    with pytest.raises(VoiceError, match="no speech"):
        engine.enroll(Pcm(samples, RATE))


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 44100, 96000])
def test_any_rate(engine: NanoEngine, high: Pcm, rate: int) -> None:
    import soxr

    voice = engine.enroll(Pcm(soxr.resample(high.samples, RATE, rate), rate))
    reference = engine.enroll(high)
    assert voice.tensors["register"][0] == pytest.approx(float(reference.tensors["register"][0]), abs=0.05)


def test_one_second_is_enough_and_thirty_are_used(engine: NanoEngine, low: Pcm) -> None:
    assert engine.enroll(low.head(1.0)).tensors["keys"].shape[0] > 0
    long = Pcm(np.tile(low.samples, 12), RATE)
    first = engine.enroll(long)
    second = engine.enroll(long.head(30.0))
    for name, array in first.tensors.items():
        np.testing.assert_array_equal(array, second.tensors[name])


def test_saved_and_loaded(engine: NanoEngine, voice: Voice, low: Pcm, tmp_path: Path) -> None:
    voice.save(tmp_path / "voice.safetensors")
    loaded = Voice.load(tmp_path / "voice.safetensors")
    assert (loaded.engine, loaded.weights) == ("nano", engine.weights_hash)
    np.testing.assert_array_equal(run(engine, voice, low.samples[:RATE])[0], run(engine, loaded, low.samples[:RATE])[0])


def test_a_voice_of_other_weights_is_refused(engine: NanoEngine, voice: Voice, low: Pcm) -> None:
    for stranger in (Voice("nano", "0" * 64, voice.tensors), Voice("seed-vc", voice.weights, voice.tensors)):
        with pytest.raises(VoiceError, match="enroll"):
            engine.convert(windows(engine, stranger, low.samples[:RATE], NanoSettings())[:1])


def test_settings_have_ranges() -> None:
    assert NanoSettings.parse({"pitch_shift": -24}).model_dump()["pitch_shift"] == -24
    for field, value in (("pitch_shift", 25), ("block", 0.03), ("profile", "best"), ("block", 0.6), ("steps", 3)):
        with pytest.raises(SettingsError) as caught:
            NanoSettings.parse({field: value})
        assert caught.value.field == field


def test_damaged_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"constants\.npz|content\.onnx"):
        NanoEngine(tmp_path)
    for name in networks.FILES:
        (tmp_path / name).write_bytes(b"not a model")
    with pytest.raises(ModelFileError, match="reinstall") as caught:
        NanoEngine(tmp_path)
    assert "\n" not in str(caught.value)


def test_weights_fit_the_package() -> None:
    assert sum(path.stat().st_size for path in networks.WEIGHTS.iterdir()) <= 60e6


def test_no_torch_at_run_time() -> None:
    import subprocess
    import sys

    code = (
        "import sys, numpy as np\n"
        "from seedvc_live.engines.nano.engine import NanoEngine\n"
        "NanoEngine().warm_up()\n"
        "assert not {'torch', 'gi', 'scipy', 'librosa'} & set(sys.modules), 'imported'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_warm_up_and_close(engine: NanoEngine) -> None:
    engine.warm_up()
    engine.close()
    engine.close()
