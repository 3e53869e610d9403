"""One figure of the whole evaluation, as PNG and SVG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seedvc_live.evaluate.extras import require
from seedvc_live.evaluate.table import groups

_PANELS = (
    ("similarity", "Speaker similarity (Resemblyzer cosine)"),
    ("word_error", "Word error against the source (Whisper base)"),
    ("dnsmos", "DNSMOS OVRL"),
    ("pitch_correlation", "Pitch correlation with the source"),
)
_COLOURS = {
    "floor": "#9e9e9e",
    "ceiling": "#424242",
    "streaming": "#1565c0",
    "whole": "#64b5f6",
    "world": "#ef6c00",
    "resynthesis": "#2e7d32",
}


def plot(summary: Sequence[dict[str, Any]], folder: Path, caption: str) -> list[Path]:
    """Bars per system, grouped by kind and condition; writes evaluation.png and evaluation.svg.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    require("matplotlib").use("Agg")
    pyplot = require("matplotlib.pyplot")
    blocks = groups(summary)
    # Without this two runs would differ in the SVG's identifiers.
    with pyplot.rc_context({"svg.hashsalt": "seedvc-live", "font.size": 9}):
        figure, axes = pyplot.subplots(2, 2, figsize=(max(9.0, 1.6 * len(blocks)), 7.0), layout="constrained")
        for axis, (key, heading) in zip(axes.ravel(), _PANELS, strict=True):
            _panel(axis, blocks, key, heading)
        handles = [pyplot.Rectangle((0, 0), 1, 1, color=_COLOURS[name]) for name in _COLOURS]
        used = {entry["system"] for entry in summary}
        shown = [(handle, name) for handle, name in zip(handles, _COLOURS, strict=True) if name in used]
        figure.legend([h for h, _ in shown], [n for _, n in shown], loc="outside upper center", ncols=len(shown))
        figure.supxlabel(caption, fontsize=8)
        paths = [folder / f"evaluation.{kind}" for kind in ("png", "svg")]
        for path in paths:
            figure.savefig(path, dpi=120, metadata={"Date": None} if path.suffix == ".svg" else None)
        pyplot.close(figure)
    return paths


def _panel(axis: Any, blocks: dict[tuple[str, str], list[dict[str, Any]]], key: str, heading: str) -> None:
    names = []
    for position, ((condition, kind), entries) in enumerate(blocks.items()):
        bars = [entry for entry in entries if entry.get(key) is not None]
        width = 0.8 / max(1, len(bars))
        for i, entry in enumerate(bars):
            x = position - 0.4 + (i + 0.5) * width
            axis.bar(x, entry[key], 0.9 * width, color=_COLOURS[entry["system"]])
            interval = entry.get(f"{key}_interval")
            if interval:
                axis.vlines(x, *interval, color="black", linewidth=0.8)
        names.append(kind if condition == "clean" else f"{condition}\n{kind}")
    axis.set_title(heading, fontsize=10)
    axis.set_xticks(range(len(names)), names, rotation=0 if len(names) <= 6 else 60, fontsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis="y", linewidth=0.4, alpha=0.6)
    axis.set_axisbelow(True)
    if key in {"similarity", "dnsmos"}:
        # Nothing interesting happens near zero on these scales.
        values = [entry[key] for entries in blocks.values() for entry in entries if entry.get(key) is not None]
        axis.set_ylim(max(0.0, min(values) - 0.15), None)
