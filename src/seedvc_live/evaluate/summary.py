"""From scores of clips to figures of systems: per kind and together, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from seedvc_live.evaluate.intelligibility import Errors
from seedvc_live.evaluate.judges import Score
from seedvc_live.evaluate.models import MODELS
from seedvc_live.evaluate.run import SYSTEMS
from seedvc_live.evaluate.similarity import share_of_way

ALL = "all"
"""Name of the group that holds every kind."""

_DRAWS = 1000
_PLACES = 4


def summarise(scores: Sequence[Score], seed: int = 0) -> list[dict[str, Any]]:
    """One entry per condition, kind (and `ALL`) and system, in the report's order.

    Word and character errors are pooled: edits of all clips over words of all clips. Shares of the way go
    from the clean sources' mean similarity to the ceiling's. Intervals are 95 % bootstrap percentiles over the
    group's pairs (B. Efron, 1979), seeded.
    """
    entries = []
    kinds = list(dict.fromkeys(score.kind for score in scores))
    for condition in dict.fromkeys(score.condition for score in scores):
        for kind in [ALL, *kinds] if len(kinds) > 1 else [ALL]:
            group = [score for score in scores if kind in (ALL, score.kind)]
            for system in SYSTEMS:
                chosen = [score for score in group if score.system == system and score.condition == condition]
                if chosen:
                    ends = [[s for s in group if s.system == end and s.condition == "clean"] for end in _ENDS]
                    entries.append(
                        {"condition": condition, "kind": kind, "system": system} | _figures(chosen, ends, seed)
                    )
    return entries


_ENDS = ("floor", "ceiling")


def _figures(chosen: list[Score], ends: list[list[Score]], seed: int) -> dict[str, Any]:
    judge = next(iter(chosen[0].similarity))
    report = next(iter(MODELS))
    matched = all(len(end) == len(chosen) for end in ends)
    # A speaker as himself has no floor to come from.
    way = matched and chosen[0].system != "resynthesis"
    figures: dict[str, Any] = {"pairs": len(chosen)}
    for name in chosen[0].similarity:
        figures["similarity" if name == judge else f"similarity_{name}"] = _mean([s.similarity[name] for s in chosen])
    if way:
        for name in chosen[0].similarity:
            figures["share_of_way" if name == judge else f"share_of_way_{name}"] = _rounded(
                _share(chosen, ends, name, np.arange(len(chosen)))
            )
        if chosen[0].system not in _ENDS:
            figures["share_of_way_interval"] = _interval(
                lambda index: _share(chosen, ends, judge, index), len(chosen), seed
            )
    for name in chosen[0].words:
        suffix = "" if name == report else f"_{name}"
        figures[f"word_error{suffix}"] = _rounded(_pooled([s.words[name] for s in chosen]))
        figures[f"character_error{suffix}"] = _rounded(_pooled([s.characters[name] for s in chosen]))
    if chosen[0].words:
        figures["word_error_interval"] = _interval(
            lambda index: _pooled([chosen[i].words[report] for i in index]), len(chosen), seed
        )
    for name in chosen[0].dnsmos:
        figures["dnsmos" if name == "overall" else f"dnsmos_{name}"] = _mean([s.dnsmos[name] for s in chosen])
    figures["pitch_correlation"] = _mean([s.pitch_correlation for s in chosen])
    figures["voicing_agreement"] = _mean([s.voicing_agreement for s in chosen])
    figures["real_time_factor"] = _mean([s.real_time_factor for s in chosen])
    return figures


def _share(chosen: list[Score], ends: list[list[Score]], judge: str, index: Any) -> float | None:
    value, floor, ceiling = (float(np.mean([group[i].similarity[judge] for i in index])) for group in (chosen, *ends))
    return share_of_way(value, floor, ceiling)


def _pooled(errors: list[Errors]) -> float:
    return sum(errors, Errors(0, 0)).rate


def _interval(figure: Callable[[Any], float | None], n: int, seed: int) -> list[float] | None:
    if n < 3:
        return None
    draws = np.random.default_rng(seed).integers(0, n, (_DRAWS, n))
    values = [value for value in map(figure, draws) if value is not None]
    return [round(float(edge), _PLACES) for edge in np.percentile(values, [2.5, 97.5])] if values else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return _rounded(float(np.mean(known))) if known else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _PLACES)
