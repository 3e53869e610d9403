from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedvc_live.evaluate.intelligibility import Errors, character_errors, edit_distance, normalise, word_errors

WORDS = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=8)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello,  World!", "hello world"),
        ("Don't stop - 'now'.", "don't stop now"),
        ("It\u2019s 3 o'clock", "it's 3 o'clock"),
        ("well-known", "well known"),
        ("Straße, naïve; \u00c9t\u00e9", "straße naïve été"),
        ("नमस्ते!", "नमस्ते"),
        ("...", ""),
    ],
)
def test_normal_form(text, expected) -> None:
    assert normalise(text) == expected


@pytest.mark.parametrize(
    ("truth", "heard", "edits", "length"),
    [
        ("the cat sat", "the cat sat", 0, 3),
        ("the cat sat", "The cat, sat!", 0, 3),
        ("the cat sat", "the bat sat", 1, 3),
        ("the cat sat", "the sat", 1, 3),
        ("the cat sat", "the black cat sat down", 2, 3),
        ("the cat sat", "", 3, 3),
        ("", "noise here", 2, 0),
        ("a b c d", "b c d a", 2, 4),
    ],
)
def test_word_errors_counted_by_hand(truth, heard, edits, length) -> None:
    assert word_errors(truth, heard) == Errors(edits, length)


def test_character_errors_count_spaces() -> None:
    assert character_errors("the cat", "the bat") == Errors(1, 7)
    assert character_errors("the cat", "thecat") == Errors(1, 7)
    assert character_errors("kitten", "sitting") == Errors(3, 6)


def test_rates_can_exceed_one_and_survive_an_empty_truth() -> None:
    assert word_errors("one", "one two three").rate == 2.0
    assert word_errors("", "two words").rate == 2.0
    assert word_errors("", "").rate == 0.0


def test_pooling_weighs_by_length() -> None:
    total = Errors(1, 2) + Errors(0, 8)
    assert total.rate == pytest.approx(0.1)


@given(WORDS, WORDS, WORDS)
def test_edit_distance_is_a_metric(a, b, c) -> None:
    assert (edit_distance(a, b) == 0) == (a == b)
    assert edit_distance(a, b) == edit_distance(b, a)
    assert edit_distance(a, c) <= edit_distance(a, b) + edit_distance(b, c)
    assert abs(len(a) - len(b)) <= edit_distance(a, b) <= max(len(a), len(b))
