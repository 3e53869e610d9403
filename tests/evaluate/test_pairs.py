from __future__ import annotations

import numpy as np
import pytest

from seedvc_live.audio.pcm import Pcm
from seedvc_live.errors import InputError
from seedvc_live.evaluate.pairs import Pair, find_audio, read_pairs, split_reference, take


def table(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_a_table_gives_its_pairs_in_order(tmp_path) -> None:
    path = table(tmp_path / "p.tsv", "source\treference\tkind\na.flac\tb.flac\tlow-high\n\nc.flac\td.flac\thigh-low\n")
    assert read_pairs(path) == [Pair("a.flac", "b.flac", "low-high"), Pair("c.flac", "d.flac", "high-low")]


def test_columns_are_found_by_name_and_others_are_ignored(tmp_path) -> None:
    path = table(tmp_path / "p.tsv", "kind\tnote\treference\tsource\r\nlow-low\tx\tb.wav\ta.wav\r\n")
    assert read_pairs(path) == [Pair("a.wav", "b.wav", "low-low")]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("source\treference\n", "no column 'kind'"),
        ("a.flac\tb.flac\tlow-high\n", "line 1: no column 'source'"),
        ("source\treference\tkind\n", "holds no pairs"),
        ("source\treference\tkind\na\tb\tlow-low\na.flac\tb.flac\n", "line 3"),
        ("source\treference\tkind\na.flac\t\tlow-low\n", "line 2"),
    ],
)
def test_a_bad_table_is_refused_with_its_line(tmp_path, text, says) -> None:
    with pytest.raises(InputError, match=says):
        read_pairs(table(tmp_path / "p.tsv", text))


def test_a_missing_table_is_an_input_error(tmp_path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        read_pairs(tmp_path / "nowhere.tsv")


def test_a_few_pairs_cover_the_kinds_in_turn_and_keep_the_order() -> None:
    pairs = [Pair(f"{kind}{i}", "r", kind) for kind in ("x", "y", "z") for i in range(3)]
    assert [pair.source for pair in take(pairs, 4)] == ["x0", "x1", "y0", "z0"]
    assert take(pairs, None) == take(pairs, 99) == pairs
    assert take(pairs, 1) == pairs[:1]


def test_audio_is_found_below_the_folder(tmp_path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.flac").touch()
    assert find_audio(tmp_path, "a.flac") == tmp_path / "deep" / "a.flac"
    with pytest.raises(InputError, match=r"b\.flac"):
        find_audio(tmp_path, "b.flac")


def test_reference_and_rest_are_the_clip_without_overlap() -> None:
    clip = Pcm(np.arange(8000, dtype=np.float32) / 8000, 1000)
    reference, rest = split_reference(clip, "x")
    assert reference.seconds == 5
    np.testing.assert_array_equal(np.concatenate([reference.samples, rest.samples]), clip.samples)


def test_a_reference_that_leaves_no_ceiling_is_refused() -> None:
    with pytest.raises(InputError, match=r"lasts 6\.0 s"):
        split_reference(Pcm(np.zeros(6000, np.float32), 1000), "x")
