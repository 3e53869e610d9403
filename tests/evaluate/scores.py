"""Scores made by hand, so that sums can be checked with pencil and paper."""

from __future__ import annotations

from seedvc_live.evaluate.intelligibility import Errors
from seedvc_live.evaluate.judges import Score


def score(system: str, similarity: float, kind: str = "low-high", edits: int = 0, words: int = 10, **more) -> Score:
    spoken = system != "ceiling"
    values = {
        "condition": "clean",
        "source": "a.flac",
        "reference": "b.flac",
        "similarity": {"resemblyzer": similarity, "campplus": similarity / 2},
        "words": {"base": Errors(edits, words), "tiny.en": Errors(2 * edits, words)} if spoken else {},
        "characters": {"base": Errors(edits, 5 * words), "tiny.en": Errors(edits, 5 * words)} if spoken else {},
        "heard": {"base": "text", "tiny.en": "text"} if spoken else {},
        "dnsmos": {"overall": 3.0, "signal": 3.5, "background": 4.0},
        "pitch_correlation": 0.9 if spoken else None,
        "voicing_agreement": 0.8 if spoken else None,
        "real_time_factor": 0.2 if system == "streaming" else None,
    }
    return Score(system=system, kind=kind, **{**values, **more})


def two_pairs() -> list[Score]:
    """Floor 0.5 and 0.7, ceiling 0.9 and 0.9, streaming 0.7 and 0.8 with 1 of 10 and 3 of 30 + 2 words wrong."""
    return [
        score("floor", 0.5),
        score("ceiling", 0.9),
        score("streaming", 0.7, edits=1),
        score("floor", 0.7, kind="high-low", words=30),
        score("ceiling", 0.9, kind="high-low"),
        score("streaming", 0.8, kind="high-low", edits=5, words=30),
    ]
