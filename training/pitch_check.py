"""What the short future costs the pitch tracker: live windows against the whole utterance.

`python -m training.pitch_check --corpus CORPUS`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from seedvc_live.engines.nano import analysis, grid, pitch
from seedvc_live.engines.nano.networks import WEIGHTS, open_session
from training import corpus


def compare(
    tracker: object, clips: list[corpus.Clip], context: int, lookahead: int, block: int = 16
) -> dict[str, float]:
    """Live tracks of windows with `context` and `lookahead` points against whole-utterance tracks."""
    wrong, points, off, far, both = 0, 0, 0.0, 0, 0
    left, right = context * grid.ANALYSIS_HOP, lookahead * grid.ANALYSIS_HOP
    for clip in clips:
        _, narrow = corpus.read(clip)
        whole = pitch.track(tracker, narrow[None])
        windows = analysis.cut_windows(narrow, block)
        begin = grid.CONTEXT_POINTS * grid.ANALYSIS_HOP
        end = begin + block * grid.ANALYSIS_HOP
        live = pitch.track(tracker, np.ascontiguousarray(windows[:, begin - left : end + right]))
        for index, (log_f0, confidence) in enumerate(zip(*live, strict=True)):
            at = np.arange(2, block + 2)
            f, v = pitch.at_points(log_f0, confidence, context + at)
            g, w = pitch.at_points(whole[0][0], whole[1][0], index * block + at)
            points += len(at)
            wrong += int((v != w).sum())
            voiced = (v > 0) & (w > 0)
            cents = 1200 / np.log(2) * np.abs(f - g)[voiced]
            both += len(cents)
            off += float(np.minimum(cents, 100).sum())
            far += int((cents > 100).sum())
    return {"voicing_errors": wrong / points, "mean_cents": off / both, "beyond_semitone": far / both}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, default=Path("corpus"))
    parser.add_argument("--clips", type=int, default=12)
    options = parser.parse_args()
    tracker = open_session(WEIGHTS / "pitch.onnx")
    clips = corpus.real(options.corpus)[: options.clips]
    for context in (24, 40, 80):
        for lookahead in (4, 8):
            result = {name: round(value, 4) for name, value in compare(tracker, clips, context, lookahead).items()}
            print(json.dumps({"context_ms": 10 * context, "lookahead_ms": 10 * lookahead, **result}))


if __name__ == "__main__":
    main()
