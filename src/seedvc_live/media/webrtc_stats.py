"""What a peer reports by RTCP (RFC 3550, section 6.4) about the packets sent to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Feedback:
    """The peer's last report.

    Attributes:
        loss: share of packets lost since its report before.
        rtt: round trip, seconds; None until it is known.
    """

    loss: float
    rtt: float | None


def feedback(rtpbin: Any) -> Feedback | None:
    """The last report about what we send; None when there is none yet."""
    session = rtpbin.emit("get-internal-session", 0)
    if session is None:
        return None
    stats = session.get_property("stats")  # kept: what it holds lives no longer than it
    for source in stats.get_value("source-stats"):
        if not source.has_field("have-rb") or not source.get_value("have-rb") or source.get_value("internal"):
            continue
        # A fixed-point number of 8 bits, and one of 16.16 bits.
        trip = source.get_value("rb-round-trip") / 65536.0
        return Feedback(source.get_value("rb-fractionlost") / 256.0, trip if trip > 0 else None)
    return None


def expected_loss(current: int, reported: float) -> int:
    """How much loss, in percent, the sender's in-band FEC is to be laid out for.

    Rises to what was reported at once, and falls by a percent per report; 0 below half a percent, 30 at most.
    """
    percent = min(30, round(100.0 * reported))
    return max(percent, current - 1, 0)
