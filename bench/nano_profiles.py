"""Quality against cost and latency: every profile of nano, on the same pairs and machine.

Each profile is timed by `seedvc-live bench` and judged by `seedvc-live evaluate` (streaming). Verdicts on clips that do
not depend on the profile are remembered, so three profiles cost little more than one.

    python bench/nano_profiles.py --corpus CORPUS            # writes bench/results/nano_profiles.json and .md
    python bench/nano_profiles.py --speed-only               # keeps the quality that the files hold
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from seedvc_live.engines.nano.profiles import PROFILES

RESULTS = Path(__file__).parent / "results"
_QUALITY = ("pairs", "similarity", "share_of_way", "word_error", "character_error", "dnsmos", "pitch_correlation")


def run(*arguments: str) -> Any:
    command = [sys.executable, "-m", "seedvc_live", *arguments, "--json"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def quality(profile: str, corpus: Path, limit: int | None) -> dict[str, Any]:
    arguments = ["evaluate", "--profile", profile, "--systems", "streaming", "--pairs", str(corpus / "pairs.tsv")]
    arguments += ["--audio", str(corpus / "librispeech"), *(["--limit", str(limit)] if limit else [])]
    result = run(*arguments)
    (entry,) = [e for e in result["summary"] if e["system"] == "streaming" and e["kind"] == "all"]
    return {"weights": result["about"]["weights"], **{name: entry[name] for name in _QUALITY}}


def table(result: dict[str, Any]) -> str:
    lines = [
        "| profile | block + lookahead | latency | of the way | word error | DNSMOS | RTF | CPU | block p50 | p99 |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, figures in result["profiles"].items():
        speed, good = figures["speed"], figures.get("quality")
        ahead = speed["algorithmic_latency_ms"] - speed["block_ms"]
        judged = (
            [f"{good['share_of_way']:.0%}", f"{good['word_error']:.3f}", f"{good['dnsmos']:.2f}"] if good else "---"
        )
        cells = [
            f"`{name}`",
            f"{speed['block_ms']:.0f} + {ahead:.0f} ms",
            f"{speed['algorithmic_latency_ms']:.0f} ms",
            *judged,
            f"{speed['real_time_factor']:.3f}",
            f"{speed['cpu_real_time_factor']:.3f}",
            f"{speed['compute_ms']['p50']:.1f} ms",
            f"{speed['compute_ms']['p99']:.1f} ms",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, help="folder with pairs.tsv and librispeech/")
    parser.add_argument("--limit", type=int, help="only so many pairs")
    parser.add_argument("--seconds", type=int, default=60, help="of speech that is timed")
    parser.add_argument("--speed-only", action="store_true")
    parser.add_argument("--out", type=Path, default=RESULTS / "nano_profiles.json")
    options = parser.parse_args()
    if not options.speed_only and options.corpus is None:
        parser.error("--corpus is needed, or --speed-only")
    known = json.loads(options.out.read_text())["profiles"] if options.out.exists() else {}
    result: dict[str, Any] = {"profiles": {}}
    for name in PROFILES:
        speed = run("bench", "--profile", name, "--seconds", str(options.seconds))
        result |= {key: speed.pop(key) for key in ("machine", "measured")}
        figures = {"speed": speed}
        if options.speed_only:
            figures |= {"quality": known[name]["quality"]} if "quality" in known.get(name, {}) else {}
        else:
            figures["quality"] = quality(name, options.corpus, options.limit)
        result["profiles"][name] = figures
        print(table(result), flush=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    options.out.with_suffix(".md").write_text(f"# Profiles of nano\n\n{table(result)}")


if __name__ == "__main__":
    main()
