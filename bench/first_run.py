"""How long `make demo` and `make test` take a newcomer: a clean clone in an empty folder, each run twice.

    python3 bench/first_run.py [--source REPOSITORY] [--output bench/results/first_run.json]

System packages that are already installed stay installed; the result says which were missing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import tempfile
import time
from pathlib import Path


def timed(command: list[str], folder: Path) -> dict[str, object]:
    begin = time.monotonic()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    seconds = round(time.monotonic() - begin, 1)
    print(f"{' '.join(command)}: {seconds} s, exit {done.returncode}", flush=True)
    if done.returncode:
        print(done.stdout[-3000:], done.stderr[-3000:], flush=True)
    return {"command": " ".join(command), "seconds": seconds, "exit": done.returncode}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", default=str(Path(__file__).resolve().parents[1]))
    parser.add_argument("--output", default="bench/results/first_run.json")
    given = parser.parse_args()
    output = Path(given.output).resolve()
    missing = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Status}", "gstreamer1.0-plugins-good"],
        capture_output=True,
        text=True,
        check=False,
    )
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "seedvc-live"
        subprocess.run(["git", "clone", "-q", given.source, str(clone)], check=True)
        commit = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=clone, capture_output=True, text=True, check=True
        ).stdout.strip()
        runs = [timed(["make", target], clone) for target in ("demo", "demo", "test", "test")]
    result = {
        "commit": commit,
        "gstreamer_was_installed": "install ok" in missing.stdout,
        "machine": {
            "system": platform.freedesktop_os_release().get("PRETTY_NAME"),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
        },
        "runs": [{**run, "time": time_} for run, time_ in zip(runs, ("first", "second") * 2, strict=True)],
        "measured": time.strftime("%Y-%m-%d", time.gmtime()),
    }
    output.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
