"""How much loss the in-band FEC is laid out for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from seedvc_live.media.webrtc_stats import expected_loss


def test_it_rises_at_once_and_falls_by_and_by() -> None:
    assert expected_loss(0, 0.0) == 0
    assert expected_loss(0, 0.004) == 0
    assert expected_loss(0, 0.1) == 10
    assert expected_loss(10, 0.05) == 9
    assert expected_loss(1, 0.0) == 0
    assert expected_loss(5, 0.9) == 30


@given(st.integers(0, 30), st.floats(0, 1))
def test_it_stays_within_bounds_and_below_neither(current, reported) -> None:
    expected = expected_loss(current, reported)
    assert 0 <= expected <= 30
    assert expected >= min(30, round(100 * reported))
    assert expected >= current - 1
