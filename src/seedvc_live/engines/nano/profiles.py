"""Geometries to choose from: how much of the future is waited for, against delay and cost.

More lookahead lets the content encoder hear a sound to its end; a longer block spreads the cost of a window
over more audio. Figures are in docs/models.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from seedvc_live.engines.nano.grid import Layout


@dataclass(frozen=True)
class Profile:
    """A named geometry: the block in seconds, unless the session sets another, and what lies around it."""

    block: float
    layout: Layout


Name = Literal["low-latency", "balanced", "quality"]

PROFILES: dict[Name, Profile] = {
    "low-latency": Profile(0.06, Layout(lookahead=6)),
    "balanced": Profile(0.1, Layout(lookahead=14)),
    "quality": Profile(0.16, Layout(lookahead=16)),
}
DEFAULT: Name = "balanced"
