"""Pitch and voicing at the points, by SwiftF0 (L. Nieradzik, "SwiftF0", 2025; MIT)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from seedvc_live.engines.nano import grid

Array = npt.NDArray[np.float32]

FRAME = 256
"""Analysis samples between the tracker's frames (16 ms)."""
LOWEST, HIGHEST = 50.0, 900.0
"""Range searched, in Hz."""
SILENCE = 1e-3
"""A frame whose peak is below this is unvoiced, whatever the network says."""
_AHEAD = 2816
"""Analysis samples that the tracker wants to see of the future (176 ms), …"""
_MIRRORED = 1280
"""… and by how many a window that has fewer is continued backwards at most."""
_EDGE = 1000
"""Frames closer than so many samples to the window's end are judged more mildly, …"""
_MILDER = 1.25
"""… by so much: the tracker is less sure of what it sees half of."""
DEFAULT = float(np.log(150.0))
"""Log F0 where there is nothing voiced to take it from."""


def track(session: Any, samples: Array) -> tuple[Array, Array]:
    """Natural log of F0 in Hz, and confidence 0 … 1, of frames at 0, 256, 512, … samples.

    Args:
        session: the SwiftF0 network (ONNX Runtime).
        samples: 16 kHz, shape (batch, n).

    Returns:
        two arrays of shape (batch, n // 256).
    """
    limits = {"fmin": np.asarray(LOWEST, np.float32), "fmax": np.asarray(HIGHEST, np.float32)}
    count = samples.shape[1] // FRAME
    # The network takes one signal at a time.
    rows = [session.run(["pitch", "confidence"], {"audio": row[None], **limits}) for row in samples]
    f0 = np.stack([row[0][0, :count] for row in rows])
    confidence = np.stack([row[1][0, :count] for row in rows])
    peaks = np.abs(samples[:, : count * FRAME]).reshape(len(samples), count, FRAME).max(-1)
    confidence = np.where(peaks < SILENCE, 0, confidence)
    return np.log(np.maximum(f0, 1.0)).astype(np.float32), confidence.astype(np.float32)


def track_window(session: Any, samples: Array, ahead: int = 0) -> tuple[Array, Array]:
    """As `track`, for windows that end in the middle of speech.

    The tracker wants to look 176 ms ahead, and calls a voice that breaks off unvoiced. So the window is
    continued by its mirror image, which has its pitch: at 40 ms from the end that takes the frames whose
    voicing is wrong from 9.8 to 2.0 % (docs/models.md).

    Args:
        ahead: analysis samples of the window behind the last moment that is asked for.
    """
    n = samples.shape[1]
    more = min(_MIRRORED, max(0, _AHEAD - ahead), n - 1)
    mirrored = np.concatenate([samples, samples[:, -2 : -2 - more : -1]], axis=1)
    log_f0, confidence = track(session, np.ascontiguousarray(mirrored))
    count = n // FRAME
    near = np.arange(count) * FRAME > n - _EDGE
    return log_f0[:, :count], np.where(near, np.minimum(1, _MILDER * confidence[:, :count]), confidence[:, :count])


def at_points(log_f0: Array, confidence: Array, points: npt.NDArray[np.int64]) -> tuple[Array, Array]:
    """Read one track at `points` (10 ms from its begin).

    Returns:
        log F0, bridged linearly over unvoiced stretches, and voicing 0 or 1, each of `points`' shape.
    """
    where = points * (grid.ANALYSIS_HOP / FRAME)
    frames = np.arange(len(log_f0))
    voiced = confidence >= 0.5
    voicing = np.interp(where, frames, confidence) >= 0.5
    if not voiced.any():
        return np.full(points.shape, DEFAULT, np.float32), np.zeros(points.shape, np.float32)
    return np.interp(where, frames[voiced], log_f0[voiced]).astype(np.float32), voicing.astype(np.float32)
