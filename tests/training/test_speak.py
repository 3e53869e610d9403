# ruff: noqa: RUF001 (phonetic letters that look like others)
"""Speaking the synthetic corpus: the cast and the texts always, the speech itself where Kokoro can be had."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")

from training.kokoro import FRAME, _converted

from training import corpus, speak


def test_ties_and_symbols_are_kokoros() -> None:
    assert _converted("d͡ʒˈʌd͡ʒ ɐ t‍ʃˈiːz mˈa‍ʊs bˈɜːɹd") == "ʤˈʌʤ ə ʧˈiz mˈWs bˈɜɹd"
    assert _converted("(en)hˈaɪ\n wˈɚld") == "hˈaɪ wˈəɹld"


def test_no_voice_of_the_trials_is_cast_and_foreign_ones_only_blend() -> None:
    names = ["af_heart", "am_adam", "bf_emma", "bm_lewis", "zf_xiaoni", "jf_alpha", "hm_psi"]
    for seed in range(200):
        voices = speak.cast(names, np.random.default_rng([seed, 7]))
        assert len(voices) == speak.VOICES
        for voice in voices:
            assert sum(voice.values()) == pytest.approx(1)
            foreign = sum(weight for name, weight in voice.items() if name[0] not in "ab")
            assert foreign <= 0.5
        assert len(speak.cast(names, np.random.default_rng([seed, 7]), 1)) == 1
    assert {"af_nova", "am_onyx", "bf_lily", "bm_daniel"} == speak.NEVER


def test_sentences_are_plain_and_not_attributions(tmp_path: Path) -> None:
    (tmp_path / "one").write_text(
        "The quick brown fox jumps over it. Short one.\n\t\t-- A. Nonymous\n%\n"
        "It costs $5, they say to me.\n%\nEvery sentence is found\nacross its lines. Is this here found as well?\n"
    )
    (tmp_path / "one.dat").write_bytes(b"\0\1")
    assert speak.sentences(tmp_path) == [
        "Every sentence is found across its lines.",
        "Is this here found as well?",
        "The quick brown fox jumps over it.",
    ]
    with pytest.raises(FileNotFoundError, match="fortunes"):
        speak.sentences(tmp_path / "nowhere")


@pytest.mark.slow
@pytest.mark.evaluate
@pytest.mark.timeout(900)
@pytest.mark.skipif(
    not (shutil.which("espeak-ng") and shutil.which("npm")), reason="needs espeak-ng and npm, as make train does"
)
def test_spoken_sentences_are_aligned_and_understood(tmp_path: Path) -> None:
    """Downloads 150 MB of packages once, into the recipe's own folder."""
    import yaml
    from training.run import KOKORO

    from seedvc_live.evaluate.intelligibility import Errors, word_errors
    from seedvc_live.evaluate.models import obtain
    from seedvc_live.evaluate.recognise import Recogniser
    from seedvc_live.media.load import load_audio

    kokoro = speak.load(yaml.safe_load(KOKORO.read_text()), KOKORO.parent / "runs" / "kokoro")
    texts = [
        "The early bird gets the worm, but the second mouse gets the cheese.",
        "Have no friends not equal to yourself.",
    ]
    speak.write(kokoro, texts, tmp_path / "parallel", 2)
    speak.write(kokoro, texts, tmp_path / "parallel", 3)
    lines = [json.loads(line) for line in (tmp_path / "parallel" / "meta.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == ["1_0000", "1_0001", "1_0002"]
    recogniser, errors = Recogniser("base", obtain("base")), Errors(0, 0)
    clips = corpus.parallel(tmp_path)
    assert len(clips) == 9
    for line in lines:
        spoken = [load_audio(clip.path) for clip in clips if clip.group == line["id"]]
        assert len({len(clip) for clip in spoken}) == 1
        assert line["samples"] == [FRAME * sum(line["phoneme_frames_25ms"])] * 3
        loudness = [
            np.sqrt((clip.samples[: len(clip) // 1200 * 1200].reshape(-1, 1200) ** 2).mean(1)) for clip in spoken
        ]
        assert np.corrcoef(loudness)[0, 1:].min() > 0.6
        assert max(abs(len(clip) - line["samples"][0]) for clip in spoken) <= 480
        errors = sum((word_errors(line["text"], recogniser.transcribe(clip)) for clip in spoken), errors)
    assert errors.rate < 0.15
