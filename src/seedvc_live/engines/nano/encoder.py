"""The content encoder as a stream hears with it: new steps attend to keys and values that are remembered.

Whisper's encoder (A. Radford et al., 2022), retrained so that a step hears its own block, what follows the block, and
the last seconds before it; nothing is computed twice (chunked attention with memory: Y. Shi et al., "Emformer", ICASSP
2021). Positions are counted from the stream's begin, without end.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from seedvc_live.engines.nano import spectrum

Array = npt.NDArray[np.float32]

WIDTH, LAYERS = 384, 4
REACH = 64
"""Steps before a block that it attends to (1.3 s)."""
BEFORE, AFTER = 6, 2
"""Spectrum frames that a step's features and gains take from before and after the frame in its middle."""
_FALL = 0.01
"""By how much the level that a window's is brought to falls in a frame, log10 of power (10 dB in a second)."""
_LONGEST = 400.0
"""Steps; slower sines than these stand still, so that positions have no end."""
_STILL = 36.0
"""Position at which they do."""


@lru_cache
def _frequencies() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Whisper's radians per step, shape (WIDTH / 2,), and which of them move."""
    frequencies = np.exp(-np.log(10_000) / (WIDTH // 2 - 1) * np.arange(WIDTH // 2))
    return frequencies, 2 * np.pi / frequencies < _LONGEST


def positions(first: int, count: int) -> Array:
    """Embedding of steps `first` … first + count - 1, shape (count, WIDTH): Whisper's sines, the slow ones still."""
    frequencies, moving = _frequencies()
    angles = np.where(moving, np.arange(first, first + count)[:, None] * frequencies, _STILL * frequencies)
    return np.concatenate([np.sin(angles), np.cos(angles)], 1).astype(np.float32)


def peaks(mel: Array, before: float = -np.inf) -> npt.NDArray[np.float64]:
    """Peak that each frame is normalised by, log10 of power: held, and falling slowly.

    Args:
        mel: log-mel (frames, 80), as `spectrum.log_mel` gives it.
        before: the peak at the frame before.

    Returns:
        shape (frames,).
    """
    highest = mel.max(-1).astype(np.float64)
    ramp = _FALL * np.arange(1, len(highest) + 1)
    return np.asarray(np.maximum(np.maximum.accumulate(highest + ramp), before) - ramp)


class Memory(NamedTuple):
    """What a stream remembers.

    Attributes:
        past: keys and values of the last steps, at most REACH of them: (LAYERS, 2, steps, WIDTH), float16.
        gain: mask at the last frame, dB, (GAIN_BANDS,).
        peak: at the last frame whose peak no later step looks at; step: number of the next step.
    """

    past: npt.NDArray[np.float16]
    gain: Array
    peak: float
    step: int

    @classmethod
    def empty(cls) -> Memory:
        """Of a stream that has not begun."""
        past = np.zeros((LAYERS, 2, 0, WIDTH), np.float16)
        return cls(past, np.zeros(spectrum.GAIN_BANDS, np.float32), -np.inf, 0)

    def pack(self) -> dict[str, npt.NDArray[Any]]:
        """As arrays, for a stream's state."""
        return {"past": self.past, "gain": self.gain, "heard": np.array([self.peak, self.step], np.float64)}

    @classmethod
    def unpack(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Memory:
        """Inverse of `pack`."""
        peak, step = arrays["heard"]
        return cls(arrays["past"], arrays["gain"], float(peak), int(step))


class Heard(NamedTuple):
    """Of n steps: content (n, WIDTH); mask in dB (2n, GAIN_BANDS), at the frames 2s - 1 and 2s of each step s."""

    content: Array
    gain: Array


def hear(session: Any, mel: Array, memory: Memory, steps: int) -> tuple[Heard, Memory]:
    """Hear new steps, and the steps after them that are there already but will be heard again.

    Args:
        session: the content network (ONNX Runtime).
        mel: log-mel (frames, 80) from BEFORE frames before the first step's to AFTER after the last one's.
        steps: how many are new.

    Returns:
        what is heard of the new steps, and the memory with them.
    """
    held = peaks(mel, memory.peak)
    total = (len(mel) - BEFORE - AFTER + 1) // 2
    if total < steps or len(mel) != frames(total):
        raise ValueError(f"{len(mel)} frames are not those of {steps} steps or more")
    inputs = {
        "mel": spectrum.normalised(mel, held[:, None]).T[None],
        "positions": positions(memory.step, total),
        "past": memory.past.astype(np.float32)[:, :, None],
    }
    content, gain, past = session.run(["content", "gain", "present"], inputs)
    kept = np.concatenate([memory.past, past[:, :, 0, :steps].astype(np.float16)], 2)[:, :, -REACH:]
    gain = gain[0, : 2 * steps]
    return Heard(content[0, :steps], gain), Memory(kept, gain[-1], float(held[2 * steps - 1]), memory.step + steps)


def frames(steps: int) -> int:
    """Spectrum frames that so many steps are heard from."""
    return BEFORE + 2 * steps - 1 + AFTER


def hear_blocks(session: Any, mel: Array, memory: Memory, steps: int, block: int, ahead: int) -> tuple[Heard, Memory]:
    """Hear new steps in blocks.

    Args:
        mel: log-mel of `steps` and `ahead` steps, (frames(steps + ahead), 80).
        block, ahead: steps of a block, and after it that it hears.
    """
    parts = []
    for start in range(0, steps, block):
        new = min(block, steps - start)
        heard, memory = hear(session, mel[2 * start :][: frames(new + ahead)], memory, new)
        parts.append(heard)
    content, gain = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Heard(content, gain), memory
