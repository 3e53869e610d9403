"""What is measured of the source: content, level, broad bands, pitch; the same live and in training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from seedvc_live.engines.nano import encoder, grid, pitch, spectrum

Array = npt.NDArray[np.float32]

FIRST_STEP = grid.FIRST_FRAME + encoder.BEFORE - 2
"""Point of a stream's first window where the encoder's first step begins."""
WHOLE_BLOCK, WHOLE_AHEAD = 8, 6
"""Steps of the blocks that a whole utterance is heard in, and steps heard ahead of them."""


@dataclass(frozen=True)
class Measured:
    """Measurements of a block of n points, and of the `before` steps ahead of it.

    A block starts at its (even) point 0, so `before` steps ahead is point -2 × before.

    Attributes:
        content: Whisper features at points 2, 4, … n of the block, and the `before` ahead of them,
            shape (before + n / 2, 384).
        level: dB re full scale at points 1 … n and 2 × before ahead, shape (2 × before + n,).
        bands: shares in dB, as `level`, shape (2 × before + n, 4).
        changes: of the spectrum since the point before, dB, shape (2 × before + n, 16).
        log_f0, voicing: at points 0 … n + 1 and 2 × before ahead, shape (2 × before + n + 2,).
    """

    content: Array
    level: Array
    bands: Array
    changes: Array
    log_f0: Array
    voicing: Array


class Source(NamedTuple):
    """As in `Measured`; and the mask's gains in dB, (points, GAIN_BANDS)."""

    content: Array
    level: Array
    bands: Array
    changes: Array
    gain: Array


def ahead_of(layout: grid.Layout) -> int:
    """Steps that are heard ahead of a block."""
    return (layout.lookahead - grid.FIRST_FRAME - encoder.AFTER) // 2


def _heard(
    session: Any, power: Array, memory: encoder.Memory, steps: int, block: int, ahead: int, wanted: int
) -> tuple[Source, encoder.Memory]:
    """The last `wanted` of so many new steps; power spectra as `encoder.hear_blocks` wants their log-mel."""
    heard, new = encoder.hear_blocks(session, spectrum.log_mel(power), memory, steps, block, ahead)
    # At the steps' points and the one before.
    gain = np.concatenate([memory.gain[None], heard.gain])[-1 - 2 * wanted :]
    power = power[encoder.BEFORE - 2 :][: 1 + 2 * steps][-1 - 2 * wanted :]
    power = spectrum.masked(power, gain)
    levels, bands, changes = spectrum.levels(power[1:]), spectrum.bands(power[1:]), spectrum.changes(power)
    return Source(heard.content[-wanted:], levels, bands, changes, gain[1:]), new


def source(
    session: Any, samples: Array, memory: encoder.Memory, before: int, layout: grid.Layout,
    block: int | None = None, ahead: int | None = None,
) -> tuple[Source, encoder.Memory]:  # fmt: skip
    """What the encoder and the spectra say of the block of a window.

    Args:
        session: the content network (ONNX Runtime).
        samples: a whole window at 16 kHz, shape (n,).
        memory: of what came before the block; an empty one hears the window's context too.
        before: steps ahead of the block to give as well, if the memory is empty.
        block, ahead: hear it in blocks of so many steps, so many ahead; else at once, with all that is there.
    """
    points = len(samples) // grid.ANALYSIS_HOP
    start = layout.context if memory.step else FIRST_STEP
    steps = (points - layout.lookahead - start) // 2
    ahead = ahead_of(layout) if ahead is None else ahead
    first = start + 2 - encoder.BEFORE
    count = encoder.frames(steps + ahead)
    power = spectrum.power_frames(samples, grid.ANALYSIS_HOP, spectrum.FFT, spectrum.FFT, first, count)
    wanted = before + layout.block_points(points) // 2
    return _heard(session, power, memory, steps, block or steps, ahead, wanted)


def source_whole(session: Any, samples: Array, block: int = WHOLE_BLOCK, ahead: int = WHOLE_AHEAD) -> Source:
    """Of a whole signal at 16 kHz, shape (n,), heard block by block as a stream from its begin: n // 320 steps."""
    steps = len(samples) // (2 * grid.ANALYSIS_HOP)
    count, hop = encoder.frames(steps + ahead), grid.ANALYSIS_HOP
    size = (grid.FIRST_FRAME + count) * hop + spectrum.FFT
    # The first frame lies at point 2 - BEFORE.
    padded = np.pad(samples, (encoder.BEFORE * hop, max(0, size - encoder.BEFORE * hop - len(samples))))
    power = spectrum.power_frames(padded, hop, spectrum.FFT, spectrum.FFT, grid.FIRST_FRAME, count)
    return _heard(session, power, encoder.Memory.empty(), steps, block, ahead, steps)[0]


def pitch_past(begin: int, before: int, layout: grid.Layout) -> int:
    """Points before a block that the pitch tracker is given, so that its frames fall where a whole stream's do.

    Otherwise a voice is read at other moments in each block, and sounds jittery (docs/models.md).

    Args:
        begin: point of the stream at which the block begins.
        before: steps ahead of the block whose pitch is wanted too.
    """
    # 8 points are 5 of the tracker's frames. More past only costs time.
    return min(layout.context, 16 + begin % 8 + -(-before // 4) * 8)


def measure(
    session: Any, tracker: Any, samples: Array, memory: encoder.Memory, before: int, layout: grid.Layout
) -> tuple[Measured, encoder.Memory]:
    """All measurements of the block of a whole window at 16 kHz, shape (n,)."""
    # Nothing is before the first window: its first step is FIRST_STEP points into it, its block behind the context.
    block_begin = FIRST_STEP + 2 * memory.step - layout.context if memory.step else 0
    heard, memory = source(session, samples, memory, before, layout)
    n = layout.block_points(len(samples) // grid.ANALYSIS_HOP)
    past = pitch_past(block_begin, before, layout)
    given = samples[None, (layout.context - past) * grid.ANALYSIS_HOP :]
    log_f0, confidence = pitch.track_window(tracker, given, layout.lookahead * grid.ANALYSIS_HOP)
    tracked = pitch.at_points(log_f0[0], confidence[0], past + np.arange(-2 * before, n + 2))
    return Measured(heard.content, heard.level, heard.bands, heard.changes, *tracked), memory


def measure_whole(
    session: Any, tracker: Any, samples: Array, memory: encoder.Memory, before: int, layout: grid.Layout
) -> tuple[Measured, encoder.Memory]:
    """As `measure`, of one long block known to its end: heard with the longest lookahead, pitch tracked at once."""
    heard, memory = source(session, samples, memory, before, layout, WHOLE_BLOCK, WHOLE_AHEAD)
    n = layout.block_points(len(samples) // grid.ANALYSIS_HOP)
    log_f0, confidence = pitch.track(tracker, samples[None])
    tracked = pitch.at_points(log_f0[0], confidence[0], layout.context + np.arange(-2 * before, n + 2))
    return Measured(heard.content, heard.level, heard.bands, heard.changes, *tracked), memory
