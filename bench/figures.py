"""The figures in README and docs, taken from bench/results: what stands between two markers is written by this.

python bench/figures.py            # writes them
python bench/figures.py --check    # says which pages are out of date
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "docs/models.md", "docs/evaluation.md")
_BLOCK = re.compile(r"(<!-- figures: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_HELD_TO = {"noise10", "room", "telephone", "quiet"}
"""Conditions that may cost 0.10 more words."""
_CONDITIONS = {
    "clean": "clean",
    "noise10": "noise, 10 dB",
    "room": "small room",
    "telephone": "telephone band",
    "quiet": "30 dB down",
    "clipped": "overdriven by 12 dB",
    "whispered": "whispered",
}


def result(name: str) -> Any:
    return json.loads((ROOT / "bench" / "results" / f"{name}.json").read_text(encoding="utf-8"))


def entry(summary: list[dict[str, Any]], system: str, kind: str = "all", condition: str = "clean") -> dict[str, Any]:
    key = (condition, kind, system)
    return next(e for e in summary if (e["condition"], e["kind"], e["system"]) == key)


def table(heading: str, *rows: str) -> str:
    columns = heading.count("|") + 1
    return "\n".join([f"| {heading} |", "| --- " * columns + "|", *(f"| {row} |" for row in rows)]) + "\n"


def summary_of_readme() -> str:
    """What one wants to know first."""
    evaluation, speed = result("nano_evaluation"), result("nano_bench")
    summary = evaluation["summary"]
    floor, ceiling, live = (entry(summary, system) for system in ("floor", "ceiling", "streaming"))
    command = "`make evaluate`"
    rows = [
        f"similarity to the reference (Resemblyzer, {live['pairs']} pairs, 5 s of reference) | "
        f"{floor['similarity']:.3f} unconverted → **{live['similarity']:.3f}**; "
        f"other speech of the target {ceiling['similarity']:.3f}: "
        f"**{live['share_of_way']:.0%} of the way** | {command}",
        f"word error against the source's own transcription (Whisper base) | {live['word_error']:.1%} | {command}",
        f"DNSMOS OVRL | {live['dnsmos']:.2f} (sources {floor['dnsmos']:.2f}) | {command}",
        f"real-time factor, one core, everything included | {speed['real_time_factor']:.2f} | `seedvc-live bench`",
        f"compute per block of {speed['block_ms']:.0f} ms | {speed['compute_ms']['p50']:.1f} ms, "
        f"99th percentile {speed['compute_ms']['p99']:.1f} ms | `seedvc-live bench`",
        f"algorithmic latency | {speed['algorithmic_latency_ms']:.0f} ms "
        "([profiles](docs/models.md#profiles): 120 to 320 ms) | `seedvc-live bench`",
    ]
    return table("what | figure | command", *rows)


def kinds() -> str:
    """Pairs by the registers of their speakers."""
    summary = result("nano_evaluation")["summary"]
    rows = []
    for kind in dict.fromkeys(e["kind"] for e in summary if e["condition"] == "clean"):
        floor, ceiling, live = (entry(summary, system, kind) for system in ("floor", "ceiling", "streaming"))
        rows.append(
            f"{kind} ({live['pairs']}) | {floor['similarity']:.3f} | {live['similarity']:.3f} | "
            f"{ceiling['similarity']:.3f} | "
            f"{live['share_of_way']:.0%} | {live['word_error']:.3f} | {live['dnsmos']:.2f} ({floor['dnsmos']:.2f})"
        )
    return table(
        "pairs | source (floor) | converted | ceiling | of the way | word error | DNSMOS (sources)",
        *rows,
    )


def systems() -> str:
    """Streaming beside everything it is compared with."""
    summary = result("nano_evaluation")["summary"]
    names = {
        "floor": "source, unconverted",
        "streaming": "**streaming**",
        "whole": "whole utterance",
        "world": "WORLD baseline",
        "resynthesis": "a speaker as himself, streaming",
        "ceiling": "other speech of the target",
    }
    rows = []
    for system, label in names.items():
        found = [e for e in summary if (e["condition"], e["kind"], e["system"]) == ("clean", "all", system)]
        for e in found:
            way, words = e.get("share_of_way"), e.get("word_error")
            rows.append(
                f"{label} | {e['similarity']:.3f} | {'-' if way is None else format(way, '.0%')} | "
                f"{'-' if words is None else format(words, '.3f')} | {e['dnsmos']:.2f}"
            )
    return table("system | similarity | of the way | word error | DNSMOS", *rows)


def conditions() -> str:
    """Degraded copies of the sources."""
    summary = result("nano_evaluation")["summary"]
    clean = entry(summary, "streaming")["word_error"]
    rows = []
    for condition in dict.fromkeys(e["condition"] for e in summary):
        floor, live, world = (entry(summary, one, condition=condition) for one in ("floor", "streaming", "world"))
        more = live["word_error"] - clean
        missed = condition in _HELD_TO and more > 0.1
        verdict = "-" if condition == "clean" else f"{more:+.3f}{' (misses +0.10)' if missed else ''}"
        rows.append(
            f"{_CONDITIONS.get(condition, condition)} | {floor['word_error']:.3f} | {live['word_error']:.3f} | "
            f"{verdict} | {world['word_error']:.3f} | {live['share_of_way']:.0%} | "
            f"{live['dnsmos']:.2f} ({floor['dnsmos']:.2f})"
        )
    heading = "source | word error, unconverted | converted | against clean | by WORLD | of the way | DNSMOS (source)"
    return table(heading, *rows)


def profiles() -> str:
    """As bench/nano_profiles.py wrote it."""
    text = (ROOT / "bench" / "results" / "nano_profiles.md").read_text(encoding="utf-8")
    return text.split("\n\n", 1)[1]


BLOCKS: dict[str, Callable[[], str]] = {
    "readme": summary_of_readme,
    "kinds": kinds,
    "systems": systems,
    "conditions": conditions,
    "profiles": profiles,
}


def written(text: str) -> str:
    """A page with its figures as the results have them."""
    return _BLOCK.sub(lambda found: found[1] + BLOCKS[found[2]]() + found[3], text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    stale = []
    for name in PAGES:
        path = ROOT / name
        old = path.read_text(encoding="utf-8")
        new = written(old)
        if new != old:
            stale.append(name)
            if not options.check:
                path.write_text(new, encoding="utf-8")
    print(f"{'out of date' if options.check else 'written'}: {', '.join(stale) or 'none'}")
    if options.check and stale:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
