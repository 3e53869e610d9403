"""What packet loss does to a WebRTC session: delay, time and words, without loss and with more and more of it.

    python bench/webrtc_loss.py --pairs pairs.tsv --audio FOLDER [--clips 6] [--output bench/results/webrtc_loss.json]

Needs the right to make network namespaces (root) and the evaluate extra. A real server and an aiortc client talk
through a bridge that loses UDP packets in both directions; the client decodes what comes back with libopus, its
concealment and its error correction. Delay is measured before, during and after the loss. Words are Whisper's,
against what it hears in the clean source. Where others share the machine, start it with `chrt -r 1`: a session
that gets no processor measures the machine, not the loss; the result says by which policy it was scheduled.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from tests.tools.loss_run import LossRun, run_loss, server_behind  # noqa: E402
from tests.tools.namespaces import BadNetwork, available  # noqa: E402

from seedvc_live import machine  # noqa: E402
from seedvc_live.audio.pcm import Pcm  # noqa: E402
from seedvc_live.evaluate import models  # noqa: E402
from seedvc_live.evaluate.intelligibility import Errors, word_errors  # noqa: E402
from seedvc_live.evaluate.pairs import read_pairs  # noqa: E402
from seedvc_live.evaluate.recognise import Recogniser  # noqa: E402
from seedvc_live.media.load import load_audio  # noqa: E402

RATE = 48_000
PAUSE, EDGE, PAD = 0.6, 14.0, 0.15
POLICIES = {os.SCHED_OTHER: "other", os.SCHED_RR: "round robin", os.SCHED_FIFO: "first in, first out"}
CONDITIONS: dict[str, dict[str, Any]] = {
    "0 %": {},
    "5 %": {"loss": 0.05},
    "10 %": {"loss": 0.1},
    "20 %": {"loss": 0.2},
    "10 % in bursts of 3": {"loss": 0.1, "burst": 3},
    "20 % in bursts of 3": {"loss": 0.2, "burst": 3},
}


def arrange(clips: list[np.ndarray]) -> tuple[np.ndarray, list[int], float, float]:
    """One recording of all clips, with the same speech before and after them.

    Returns:
        The recording, where each clip starts (samples), and the seconds before and within the middle part.
    """
    edge = np.resize(np.concatenate(clips), round(EDGE * RATE))
    gap = np.zeros(round(PAUSE * RATE), np.float32)
    parts, starts, length = [edge, gap], [], len(edge) + len(gap)
    for clip in clips:
        starts.append(length)
        parts += [clip, gap]
        length += len(clip) + len(gap)
    middle = (length - len(edge)) / RATE
    whole = np.concatenate([*parts, edge])
    return np.pad(whole, (0, -len(whole) % 960)), starts, EDGE, middle


def words(run: LossRun, starts: list[int], clips: list[np.ndarray], truths: list[str], ears: Recogniser) -> Errors:
    """Word errors of what arrived of each clip."""
    heard, total = run.heard, Errors(0, 0)
    measured = np.concatenate(run.delays)
    delay = float(np.median(measured)) if len(measured) else run.about["delay"]["total_ms"] / 1000
    for start, clip, truth in zip(starts, clips, truths, strict=True):
        begin = heard.sample_at(heard.begin + start / RATE + delay - PAD)
        part = heard.samples[max(0, begin) : begin + len(clip) + round(2 * PAD * RATE)]
        total += word_errors(truth, ears.transcribe(Pcm(part, RATE)))
    return total


def milliseconds(values: np.ndarray) -> float | None:
    return round(1000.0 * float(np.median(values)), 1) if len(values) else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=Path, required=True, help="table: source TAB reference TAB kind")
    parser.add_argument("--audio", type=Path, required=True, help="folder with the recordings")
    parser.add_argument("--clips", type=int, default=6, help="so many sources, each 6 s at most")
    parser.add_argument("--engines", default="passthrough,nano")
    parser.add_argument("--fec", action="store_true", help="the client offers in-band FEC, as browsers do")
    parser.add_argument("--recogniser", default="base")
    parser.add_argument("--output", type=Path, default=ROOT / "bench" / "results" / "webrtc_loss.json")
    options = parser.parse_args()
    # Ends as it does on Ctrl-C: namespaces and server go with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if (reason := available()) is not None:
        raise SystemExit(f"webrtc_loss: {reason}")
    pairs = read_pairs(options.pairs)
    names = list(dict.fromkeys(pair.source for pair in pairs))[: options.clips]
    clips = [load_audio(options.audio / name, RATE, 6.0).samples for name in names]
    said, starts, before, middle = arrange(clips)
    runs: list[tuple[str, str, float, LossRun]] = []
    with tempfile.TemporaryDirectory() as voices, BadNetwork(seed=5) as network:
        command = [sys.executable, "-m", "seedvc_live", "voices", "add", str(options.audio / pairs[0].reference)]
        voice = subprocess.check_output(
            [*command, "--voices", voices], text=True, env={**os.environ, "PYTHONPATH": str(ROOT / "src")}
        ).strip()
        for engine in options.engines.split(","):
            request = {"engine": engine} | ({"voice": voice} if engine != "passthrough" else {})
            with server_behind(network, Path(voices), "--engine", engine, "--workers", "1") as url:
                for name, impairment in CONDITIONS.items():
                    load = os.getloadavg()[0]
                    run = run_loss(
                        network, url, said, before=before, lossy=middle, after=EDGE, impairment=impairment,
                        by_envelope=engine != "passthrough", fec=options.fec, **request,
                    )  # fmt: skip
                    runs.append((engine, name, load, run))
                    print(f"{engine}, {name}: {[milliseconds(part) for part in run.delays]}", flush=True)
    # What follows is not in real time, and gives way to others.
    policy = POLICIES.get(os.sched_getscheduler(0), "other")
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    os.nice(5)
    ears = Recogniser(options.recogniser, models.obtain(options.recogniser))
    truths = [ears.transcribe(Pcm(clip, RATE)) for clip in clips]
    rows = []
    for engine, name, load, run in runs:
        errors = words(run, starts, clips, truths, ears)
        stats = run.about["stats"]
        stamped, passed = run.heard.seconds
        row = {
            "engine": engine,
            "loss": name,
            "fec_offered": options.fec,
            "lost_to_server": round(run.counted[0]["lost"] / run.counted[0]["packets"], 4),
            "lost_to_client": round(run.counted[1]["lost"] / run.counted[1]["packets"], 4),
            "delay_before_ms": milliseconds(run.delays[0]),
            "delay_during_ms": milliseconds(run.delays[1]),
            "delay_after_ms": milliseconds(run.delays[2]),
            "stated_delay_ms": run.about["delay"]["total_ms"],
            "output_minus_input_ms": round(1000 * (stamped - passed), 1),
            "word_error": round(errors.rate, 4),
            "words": errors.length,
            "late_blocks": stats["late_blocks"],
            "dropped_blocks": stats["dropped_blocks"],
            "blocks": stats["blocks"],
            "state_at_end": run.about["state"],
            "load_average": round(load, 1),
        }
        rows.append(row)
        print(json.dumps(row), flush=True)
    result = {
        "machine": machine.describe(),
        "measured": time.strftime("%Y-%m-%d", time.gmtime()),
        "scheduling": policy,
        "clips": names,
        "seconds": {"before": before, "lossy": round(middle, 1), "after": EDGE},
        "recogniser": f"whisper {options.recogniser}",
        "rows": rows,
    }
    options.output.write_text(json.dumps(result, indent=2) + "\n")
    print(table(rows))


def table(rows: list[dict[str, Any]]) -> str:
    """For the documentation."""
    lines = [
        "| engine | loss, each way | delay before / during / after, ms | output - input, ms | word errors |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        measured = [row[f"delay_{when}_ms"] for when in ("before", "during", "after")]
        delays = " / ".join("-" if value is None else f"{value:.0f}" for value in measured)
        lines.append(
            f"| {row['engine']} | {row['loss']} | {delays} | {row['output_minus_input_ms']:+.0f} | "
            f"{100 * row['word_error']:.0f} % |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
