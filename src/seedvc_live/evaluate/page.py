"""A page to listen to the examples side by side: one HTML file, sounds and all, no network."""

from __future__ import annotations

import base64
import html
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seedvc_live.audio.pcm import Pcm
from seedvc_live.evaluate.pairs import Pair
from seedvc_live.evaluate.table import COLUMNS, cells, groups, title

SECONDS = 8.0
"""Of each example: enough to judge, small enough to send."""

_LABELS = {
    "reference": "reference (target voice)",
    "floor": "source",
    "streaming": "converted, streaming",
    "whole": "converted, whole utterance",
    "world": "WORLD baseline",
    "resynthesis": "target as himself, resynthesised",
    "ceiling": "target, other words",
}

_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:80rem;padding:0 1rem;color:#222}
table{border-collapse:collapse;margin:.5rem 0 1.5rem}th,td{padding:.25rem .6rem;border-bottom:1px solid #ddd}
td,th{text-align:right}td:first-child,th:first-child{text-align:left}audio{height:2rem;width:13rem}
.clips{display:flex;flex-wrap:wrap;gap:1rem}figure{margin:0}figcaption{font-size:13px;color:#555}
pre{background:#f5f5f5;padding:.7rem;overflow:auto;font-size:12px}
"""


def render(
    summary: Sequence[dict[str, Any]],
    examples: Mapping[tuple[Pair, str], Mapping[str, Pcm]],
    about: Mapping[str, Any],
    seconds: float = SECONDS,
) -> str:
    """The page.

    Args:
        summary: of `summary.summarise`.
        examples: (pair, condition) → name → clip; "reference" and names of systems.
        about: facts on the run, shown at the end.
        seconds: every clip is cut to this.
    """
    parts = [
        "<!doctype html><html lang='en'><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width'><title>seedvc-live evaluation</title>",
        f"<style>{_STYLE}</style><h1>Voice conversion, measured and heard</h1>",
    ]
    for (pair, condition), clips in examples.items():
        heading = f"{pair.source} → {pair.reference} ({pair.kind}, {condition})"
        parts.append(f"<h2>{html.escape(heading)}</h2><div class='clips'>")
        parts += [_clip(_LABELS.get(name, name), clips[name], seconds) for name in _LABELS if name in clips]
        parts.append("</div>")
    parts.append("<h2>Figures</h2>")
    for key, entries in groups(summary).items():
        parts.append(f"<h3>{html.escape(title(*key, entries))}</h3><table><tr>")
        parts += [f"<th>{html.escape(name)}</th>" for _, name, _ in COLUMNS]
        for entry in entries:
            parts.append("</tr><tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells(entry)))
        parts.append("</tr></table>")
    lines = "\n".join(f"{name}: {value}" for name, value in about.items())
    return "".join([*parts, f"<h2>How</h2><pre>{html.escape(lines)}</pre></html>\n"])


def _clip(label: str, clip: Pcm, seconds: float) -> str:
    data = base64.b64encode(_flac(clip.head(seconds))).decode("ascii")
    sound = f"<audio controls preload='none' src='data:audio/flac;base64,{data}'></audio>"
    return f"<figure>{sound}<figcaption>{html.escape(label)}</figcaption></figure>"


def _flac(clip: Pcm) -> bytes:
    """Lossless: a lossy codec's sound would be heard as the converter's."""
    from seedvc_live.media.load import save_audio

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.flac"
        save_audio(path, clip)
        return path.read_bytes()
