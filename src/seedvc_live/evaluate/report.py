"""Everything an evaluation leaves behind: JSON, Markdown, plot, page, and on request the conversions."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seedvc_live.engines.base import Engine, Settings
from seedvc_live.errors import OutputError
from seedvc_live.evaluate import page, plot, table
from seedvc_live.evaluate.extras import versions
from seedvc_live.evaluate.models import MODELS
from seedvc_live.evaluate.run import Outcome
from seedvc_live.machine import describe


def about(
    engine: Engine, settings: Settings, geometry_ms: Mapping[str, float], options: Mapping[str, Any]
) -> dict[str, Any]:
    """What was evaluated, with what, on which machine."""
    return {
        "engine": engine.name,
        "weights": engine.weights_hash,
        "settings": settings.model_dump(),
        **geometry_ms,
        **options,
        "judges": {
            "similarity": "Resemblyzer; CAM++ as a second opinion",
            "recognisers": {name: model.sha256 for name, model in MODELS.items()},
            "versions": versions(),
        },
        "machine": describe(),
        "measured": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def write(folder: Path, result: dict[str, Any], outcome: Outcome) -> list[Path]:
    """Write evaluation.json, .md, .png, .svg and .html into `folder`; returns their paths.

    Raises:
        OutputError: the folder cannot be written.
    """
    summary, facts = result["summary"], result["about"]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / f"evaluation.{kind}" for kind in ("json", "md", "html")]
        paths[0].write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        paths[1].write_text(
            f"# Evaluation of {facts['engine']}\n\n{caption(facts)}\n" + table.markdown(summary), "utf-8"
        )
        paths[2].write_text(page.render(summary, outcome.examples, facts), encoding="utf-8")
        return paths + plot.plot(summary, folder, caption(facts))
    except OSError as error:
        raise OutputError(f"cannot write the evaluation into {folder}: {error}") from None


def caption(facts: Mapping[str, Any]) -> str:
    """One line: engine, weights, date, machine."""
    machine = facts["machine"]
    return (
        f"{facts['engine']} {machine['seedvc_live']}, weights {facts['weights'][:12]}, "
        f"algorithmic latency {facts['algorithmic_latency_ms']:.0f} ms; {facts['measured']}, {machine['cpu']}"
    )
