"""The judges on real speech: the package's two clips, a low and a high voice."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import pytest

from seedvc_live.audio.pcm import Pcm
from seedvc_live.evaluate import world
from seedvc_live.evaluate.degrade import degrade
from seedvc_live.evaluate.extras import require
from seedvc_live.evaluate.intelligibility import normalise, word_errors
from seedvc_live.evaluate.models import obtain
from seedvc_live.evaluate.pitch import PitchTracker, correlation, voicing_agreement
from seedvc_live.evaluate.quality import Dnsmos
from seedvc_live.evaluate.recognise import Recogniser
from seedvc_live.evaluate.similarity import Campplus, Resemblyzer, cosine
from seedvc_live.media.load import load_audio

pytestmark = [
    pytest.mark.evaluate,
    # Deprecations inside other people's packages.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning"),
]


@pytest.fixture(scope="module")
def low() -> Pcm:
    return load_audio(files("seedvc_live") / "data" / "source.flac")


@pytest.fixture(scope="module")
def high() -> Pcm:
    return load_audio(files("seedvc_live") / "data" / "reference.flac")


def halves(clip: Pcm) -> tuple[Pcm, Pcm]:
    middle = len(clip) // 2
    return Pcm(clip.samples[:middle], clip.rate), Pcm(clip.samples[middle:], clip.rate)


@pytest.mark.parametrize("make", [Resemblyzer, Campplus])
def test_a_voice_is_like_itself_and_less_like_another(make, low, high) -> None:
    encoder = make()
    a, b = encoder.embed(low), encoder.embed(high)
    assert np.linalg.norm(a) == pytest.approx(1, abs=1e-4)
    assert cosine(a, encoder.embed(low)) > 0.99
    first, second = (encoder.embed(half) for half in halves(low))
    assert cosine(a, b) < cosine(first, second) - 0.2


def test_silence_and_scraps_can_be_judged(low) -> None:
    encoder = Resemblyzer()
    for clip in (Pcm(np.zeros(16000, np.float32), 16000), Pcm(low.samples[:800], low.rate), Pcm(np.zeros(0), 16000)):
        assert np.isfinite(encoder.embed(clip)).all()
        assert 1 <= Dnsmos().score(clip).overall <= 5


def test_the_base_recogniser_hears_the_same_words_every_time_and_others_elsewhere(low, high) -> None:
    recogniser = Recogniser("base", obtain("base"))
    said = recogniser.transcribe(low)
    assert {"orphans", "accusers", "tragedy", "lake"} <= set(normalise(said).split())
    assert word_errors(said, recogniser.transcribe(low)).rate == 0
    assert word_errors(said, recogniser.transcribe(high)).rate > 0.7


def test_the_two_recognisers_agree_on_clean_speech(high) -> None:
    heard = [Recogniser(name, obtain(name)).transcribe(high) for name in ("base", "tiny.en")]
    assert word_errors(*heard).rate < 0.35


def test_a_model_of_english_alone_does_not_complain_of_other_languages(high, caplog: pytest.LogCaptureFixture) -> None:
    recogniser = Recogniser("tiny.en", obtain("tiny.en"))
    with caplog.at_level("WARNING"):
        assert recogniser.transcribe(high, "es") == recogniser.transcribe(high, "en")
    assert not caplog.records


def test_dnsmos_is_what_its_package_says(low) -> None:
    expected = require("speechmos.dnsmos").run(low.samples, sr=16000)
    found = Dnsmos().score(low)
    assert found.overall == pytest.approx(float(expected["ovrl_mos"]), abs=1e-3)
    assert found.signal == pytest.approx(float(expected["sig_mos"]), abs=1e-3)
    assert found.background == pytest.approx(float(expected["bak_mos"]), abs=1e-3)


def test_dnsmos_falls_with_noise_and_with_a_room(high) -> None:
    judge = Dnsmos()
    clean = judge.score(high)
    assert judge.score(degrade(high, "noise10")).background < clean.background - 0.5
    assert judge.score(degrade(high, "noise10")).overall < clean.overall - 0.3
    assert judge.score(degrade(high, "room")).overall < clean.overall - 0.3


def test_a_faster_copy_keeps_its_melody_and_a_stranger_does_not(low, high) -> None:
    tracker = PitchTracker()
    contour = tracker.track(low)
    assert correlation(contour, contour) == pytest.approx(1)
    assert voicing_agreement(contour, contour) == 1
    noisy = tracker.track(degrade(low, "telephone"))
    assert correlation(contour, noisy) > 0.9
    other = correlation(contour, tracker.track(high))
    assert other is None or other < 0.6


def test_world_moves_mean_pitch_and_voice_to_the_target_and_keeps_length_and_level(low, high) -> None:
    tracker, encoder = PitchTracker(), Resemblyzer()
    out = world.convert(low, high, tracker)
    assert len(out) == len(low)
    assert float(out.samples.std()) == pytest.approx(float(low.samples.std()), rel=0.1)
    before, target, after = (tracker.track(clip).mean_log for clip in (low, high, out))
    assert target - before > 0.2
    assert after == pytest.approx(target, abs=0.07)
    assert correlation(tracker.track(low), tracker.track(out)) > 0.9
    voice = encoder.embed(high)
    assert cosine(encoder.embed(out), voice) > cosine(encoder.embed(low), voice)


def test_world_lets_a_whisper_whisper(low, high) -> None:
    tracker = PitchTracker()
    breath = Pcm((0.1 * np.random.default_rng(0).normal(size=low.rate // 4)).astype(np.float32), low.rate)
    assert not tracker.track(breath).voiced.any()
    out = world.convert(breath, high, tracker)
    assert len(out) == len(breath)
    assert not tracker.track(out).voiced.any()
    assert float(out.samples.std()) == pytest.approx(0.1, rel=0.1)
    whisper = degrade(low, "whispered")
    assert tracker.track(low).voiced.mean() > 0.3
    assert tracker.track(whisper).voiced.mean() < 0.05
    assert tracker.track(world.convert(whisper, high, tracker)).voiced.mean() < 0.05
