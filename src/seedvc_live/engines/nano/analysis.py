"""What is measured of the source: content, level, broad bands, pitch; the same live and in training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from seedvc_live.engines.nano import grid, pitch, spectrum

Array = npt.NDArray[np.float32]


WHOLE, WHOLE_BLOCK = grid.Layout(80, 16), 16
"""Windows that the content of a whole utterance is heard in, and points of their blocks."""


@dataclass(frozen=True)
class Measured:
    """Measurements of a batch of blocks of n points, and of the `before` steps ahead of them.

    A block starts at its (even) point 0, so `before` steps ahead is point -2 × before.

    Attributes:
        content: Whisper features at points 2, 4, … n of the block, and the `before` ahead of them,
            shape (batch, before + n / 2, 384).
        level: dB re full scale at points 1 … n and 2 × before ahead, shape (batch, 2 × before + n).
        bands: shares in dB, as `level`, shape (batch, 2 × before + n, 4).
        changes: of the spectrum since the point before, dB, shape (batch, 2 × before + n, 16).
        log_f0, voicing: at points 0 … n + 1 and 2 × before ahead, shape (batch, 2 × before + n + 2).
    """

    content: Array
    level: Array
    bands: Array
    changes: Array
    log_f0: Array
    voicing: Array


def window_power(samples: Array) -> Array:
    """Spectra of windows at points FIRST_FRAME … last - 2; (batch, n) at 16 kHz → (batch, frames, 201)."""
    points = samples.shape[-1] // grid.ANALYSIS_HOP
    first = grid.FIRST_FRAME
    return spectrum.power_frames(samples, grid.ANALYSIS_HOP, spectrum.FFT, spectrum.FFT, first, points - 1 - first)


def encode(encoder: Any, mel: Array) -> tuple[Array, Array]:
    """Log-mel windows (batch, 80, frames) → content (batch, frames / 2, 384), gain (batch, frames, GAIN_BANDS).

    The gain, in dB, is what to take from each band so that speech remains.
    One window at a time: the network's 8-bit scales follow what is in the batch, and a stream must not hear
    its neighbours.
    """
    answers = [encoder.run(["content", "gain"], {"mel": one[None]}) for one in mel]
    content, gain = (np.concatenate(part) for part in zip(*answers, strict=True))
    return content, gain[:, : mel.shape[-1]]


class Heard(NamedTuple):
    """As in `Measured`, of a batch of blocks; and the mask's gains in dB, (batch, 2 × before + n, GAIN_BANDS)."""

    content: Array
    level: Array
    bands: Array
    changes: Array
    gain: Array


def content_and_levels(encoder: Any, samples: Array, before: int = 0, layout: grid.Layout = grid.LAYOUT) -> Heard:
    """What the encoder and the spectra say of the blocks of windows.

    Args:
        encoder: the content network (ONNX Runtime).
        samples: whole windows at 16 kHz, shape (batch, n).
        before: steps ahead of the block to give as well.
    """
    n = layout.block_points(samples.shape[-1] // grid.ANALYSIS_HOP)
    power = window_power(samples)
    content, gain = encode(encoder, spectrum.whisper_mel(power))
    start = layout.context - 2 * before - grid.FIRST_FRAME
    step = start // 2 + 1
    chosen = slice(start, start + 1 + 2 * before + n)
    gain = gain[:, chosen]
    power = spectrum.masked(power[:, chosen], gain)
    return Heard(
        content[:, step : step + before + n // 2],
        spectrum.levels(power[:, 1:]),
        spectrum.bands(power[:, 1:]),
        spectrum.changes(power),
        gain[:, 1:],
    )


def measure_whole(encoder: Any, tracker: Any, samples: Array, before: int, layout: grid.Layout) -> Measured:
    """As `measure`, of one long block that is known to its end, shape (1, n); nothing is live in it but the content.

    Content is heard in windows of `WHOLE`: the decoder knows content from windows, and what the encoder makes of a
    whole utterance is further from that (1.5 of its spread of 1.4) than any window is. Pitch is tracked at once.
    """
    n = layout.block_points(samples.shape[-1] // grid.ANALYSIS_HOP)
    first, points = layout.context - 2 * before, 2 * before + n
    left, right, block = WHOLE.context, WHOLE.lookahead, WHOLE_BLOCK
    count = -(-points // block)
    span = samples[0, (first - left) * grid.ANALYSIS_HOP :]
    span = np.pad(span, (0, max(0, (left + count * block + right) * grid.ANALYSIS_HOP - len(span))))
    windows = np.lib.stride_tricks.sliding_window_view(span, (left + block + right) * grid.ANALYSIS_HOP)
    parts = [
        content_and_levels(encoder, windows[None, at * block * grid.ANALYSIS_HOP], layout=WHOLE) for at in range(count)
    ]
    content, level, bands, changes = (np.concatenate([part[i][0] for part in parts])[None] for i in range(4))
    log_f0, confidence = pitch.track(tracker, samples)
    tracked = pitch.at_points(log_f0[0], confidence[0], first + np.arange(points + 2))
    return Measured(
        content[:, : points // 2], level[:, :points], bands[:, :points], changes[:, :points],
        tracked[0][None], tracked[1][None],
    )  # fmt: skip


def measure(encoder: Any, tracker: Any, samples: Array, before: int, layout: grid.Layout) -> Measured:
    """All measurements of the blocks of whole windows at 16 kHz, shape (batch, n)."""
    n = layout.block_points(samples.shape[-1] // grid.ANALYSIS_HOP)
    content, level, bands, changes, _ = content_and_levels(encoder, samples, before, layout)
    # More context only costs time (docs/models.md). 8 points are 5 of the tracker's frames.
    ahead = min(layout.context, 16 + -(-before // 4) * 8)
    heard = samples[:, (layout.context - ahead) * grid.ANALYSIS_HOP :]
    log_f0, confidence = pitch.track_window(tracker, heard)
    points = ahead + np.arange(-2 * before, n + 2)
    tracks = [pitch.at_points(f, c, points) for f, c in zip(log_f0, confidence, strict=True)]
    return Measured(content, level, bands, changes, np.stack([t[0] for t in tracks]), np.stack([t[1] for t in tracks]))


def cut_windows(samples: Array, block_points: int, layout: grid.Layout = grid.LAYOUT) -> Array:
    """A whole signal at 16 kHz as the windows of a stream: (n,) → (blocks, window), zeros around it."""
    block = block_points * grid.ANALYSIS_HOP
    left, right = layout.context * grid.ANALYSIS_HOP, layout.lookahead * grid.ANALYSIS_HOP
    blocks = -(-len(samples) // block)
    padded = np.pad(samples, (left, blocks * block - len(samples) + right))
    view = np.lib.stride_tricks.sliding_window_view(padded, left + block + right)[::block]
    return np.ascontiguousarray(view)
