"""The summary as a table for a terminal, or for a page in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

COLUMNS = (
    ("system", "system", ""),
    ("similarity", "similarity", ".3f"),
    ("share_of_way", "of the way", ".0%"),
    ("word_error", "word error", ".3f"),
    ("character_error", "char. error", ".3f"),
    ("word_error_tiny.en", "(tiny.en)", ".3f"),
    ("dnsmos", "DNSMOS", ".2f"),
    ("pitch_correlation", "pitch corr.", ".2f"),
    ("real_time_factor", "real-time f.", ".3f"),
)
"""Key of the summary, heading, format."""


def cells(entry: dict[str, Any]) -> list[str]:
    """One row; "-" where a figure does not apply."""
    row = []
    for key, _, form in COLUMNS:
        value = entry.get(key)
        row.append("-" if value is None else format(value, form))
    return row


def groups(summary: Sequence[dict[str, Any]]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Entries by (condition, kind), in order."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for entry in summary:
        found.setdefault((entry["condition"], entry["kind"]), []).append(entry)
    return found


def title(condition: str, kind: str, entries: Sequence[dict[str, Any]]) -> str:
    """Such as "clean, all (24 pairs)"."""
    count = entries[0]["pairs"]
    return f"{condition}, {kind} ({count} pair{'s' if count != 1 else ''})"


def render(summary: Sequence[dict[str, Any]]) -> str:
    """Aligned columns, one block per condition and kind."""
    heading = [name for _, name, _ in COLUMNS]
    rows = {key: [cells(entry) for entry in entries] for key, entries in groups(summary).items()}
    widths = [
        max(map(len, column))
        for column in zip(heading, *(row for block in rows.values() for row in block), strict=True)
    ]
    lines = []
    for key, entries in groups(summary).items():
        lines += ["", title(*key, entries), _aligned(heading, widths)]
        lines += [_aligned(row, widths) for row in rows[key]]
    return "\n".join(lines[1:])


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
    return "  ".join([row[0].ljust(len(first)), *rest]).rstrip()


def markdown(summary: Sequence[dict[str, Any]]) -> str:
    """The same as Markdown tables."""
    lines = []
    for key, entries in groups(summary).items():
        lines += ["", f"### {title(*key, entries)}", "", "| " + " | ".join(name for _, name, _ in COLUMNS) + " |"]
        lines.append("| --- |" + " ---: |" * (len(COLUMNS) - 1))
        lines += ["| " + " | ".join(cells(entry)) + " |" for entry in entries]
    return "\n".join(lines[1:]) + "\n"
