from __future__ import annotations

import pytest

from seedvc_live.evaluate.similarity import share_of_way
from seedvc_live.evaluate.summary import ALL, summarise
from tests.evaluate.scores import score, two_pairs


def entry(summary, system, kind=ALL, condition="clean"):
    (found,) = [e for e in summary if (e["system"], e["kind"], e["condition"]) == (system, kind, condition)]
    return found


def test_means_shares_and_pooled_errors_by_hand() -> None:
    whole = entry(summarise(two_pairs()), "streaming")
    assert whole["pairs"] == 2
    assert whole["similarity"] == pytest.approx(0.75)
    assert whole["similarity_campplus"] == pytest.approx(0.375)
    # Floor 0.6, ceiling 0.9: 0.15 of 0.30.
    assert whole["share_of_way"] == pytest.approx(0.5)
    assert whole["word_error"] == pytest.approx(6 / 40)
    assert whole["word_error_tiny.en"] == pytest.approx(12 / 40)
    assert whole["character_error"] == pytest.approx(6 / 200)
    assert whole["real_time_factor"] == pytest.approx(0.2)


def test_kinds_are_reported_apart() -> None:
    summary = summarise(two_pairs())
    assert entry(summary, "streaming", "low-high")["word_error"] == pytest.approx(0.1)
    assert entry(summary, "streaming", "high-low")["share_of_way"] == pytest.approx(0.5)
    assert entry(summary, "floor")["share_of_way"] == 0
    assert entry(summary, "ceiling")["share_of_way"] == 1
    assert "word_error" not in entry(summary, "ceiling")


def test_a_single_kind_is_not_reported_twice() -> None:
    assert {e["kind"] for e in summarise(two_pairs()[:3])} == {ALL}


def test_conditions_share_the_clean_floor_and_ceiling() -> None:
    noisy = [score("floor", 0.4, condition="noise10"), score("streaming", 0.6, condition="noise10", edits=4)]
    found = entry(summarise(two_pairs()[:3] + noisy), "streaming", condition="noise10")
    assert found["share_of_way"] == pytest.approx((0.6 - 0.5) / (0.9 - 0.5))
    assert found["word_error"] == pytest.approx(0.4)


def test_resynthesis_has_no_way_to_go() -> None:
    summary = summarise([*two_pairs()[:3], score("resynthesis", 0.8)])
    assert "share_of_way" not in entry(summary, "resynthesis")
    assert entry(summary, "resynthesis")["similarity"] == 0.8


def test_intervals_hold_the_figure_and_repeat_with_the_seed() -> None:
    scores = []
    for i in range(12):
        scores += [score("floor", 0.5), score("ceiling", 0.9), score("streaming", 0.6 + 0.02 * i, edits=i % 4)]
    first, again = (entry(summarise(scores, 5), "streaming") for _ in range(2))
    for name in ("share_of_way", "word_error"):
        low, high = first[f"{name}_interval"]
        assert low < first[name] < high
    assert first == again
    assert entry(summarise(two_pairs()), "streaming")["word_error_interval"] is None


def test_share_of_way() -> None:
    assert share_of_way(0.7, 0.5, 0.9) == pytest.approx(0.5)
    assert share_of_way(0.4, 0.5, 0.9) == pytest.approx(-0.25)
    assert share_of_way(0.5, 0.9, 0.9) is None
