"""What the short future costs the pitch tracker: live windows against the whole utterance.

`python -m training.pitch_check --corpus CORPUS`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from seedvc_live.engines.nano import grid, pitch
from seedvc_live.engines.nano.analysis import pitch_past
from seedvc_live.engines.nano.networks import WEIGHTS, open_session
from training import corpus


def cut_windows(samples: np.ndarray, block: int, layout: grid.Layout) -> np.ndarray:
    """A whole signal at 16 kHz as the windows of a stream: (n,) → (blocks, window), zeros around it."""
    left, size, right = (points * grid.ANALYSIS_HOP for points in (layout.context, block, layout.lookahead))
    blocks = -(-len(samples) // size)
    padded = np.pad(samples, (left, blocks * size - len(samples) + right))
    view = np.lib.stride_tricks.sliding_window_view(padded, left + size + right)[::size]
    return np.ascontiguousarray(view)


def compare(
    tracker: object, clips: list[corpus.Clip], layout: grid.Layout, block: int, plain: bool
) -> dict[str, float]:
    """Live tracks of windows against whole-utterance tracks; `plain` leaves out the mirrored end."""
    wrong, points, off, far, both = 0, 0, 0.0, 0, 0
    for clip in clips:
        _, narrow = corpus.read(clip)
        whole = pitch.track(tracker, narrow[None])
        windows = cut_windows(narrow, block, layout)
        for index, window in enumerate(windows):
            past = pitch_past(index * block, 0, layout)
            heard = window[None, (layout.context - past) * grid.ANALYSIS_HOP :]
            ahead = layout.lookahead * grid.ANALYSIS_HOP
            log_f0, confidence = pitch.track(tracker, heard) if plain else pitch.track_window(tracker, heard, ahead)
            at = np.arange(2, block + 2)
            f, v = pitch.at_points(log_f0[0], confidence[0], past + at)
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
    parser.add_argument("--skip", type=int, default=12, help="the first 12 set the tracker's margins")
    options = parser.parse_args()
    tracker = open_session(WEIGHTS / "pitch.onnx")
    clips = corpus.real(options.corpus)[options.skip :][: options.clips]
    for lookahead, block in ((4, 8), (6, 6), (8, 8), (14, 10), (16, 16)):
        for plain in (True, False):
            figures = compare(tracker, clips, grid.Layout(lookahead=lookahead), block, plain)
            sizes = {"block_ms": 10 * block, "lookahead_ms": 10 * lookahead}
            print(json.dumps({**sizes, "mirrored": not plain} | {name: round(v, 4) for name, v in figures.items()}))


if __name__ == "__main__":
    main()
