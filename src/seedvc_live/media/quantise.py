"""Floating-point samples to integers, with dither that repeats from run to run."""

from __future__ import annotations

from typing import Literal

import numpy as np

from .types import AudioArray

SampleFormat = Literal["s16", "s24", "f32"]


class Quantiser:
    """float32 to 16- or 24-bit integers (or float32 bytes as they are), little-endian.

    Rounding is dithered with triangular noise of ±1 step (Lipshitz, Wannamaker & Vanderkooy, "Quantization
    and dither", JAES 40, 1992), so its error is noise and not distortion. Samples that lie exactly on a
    step, such as silence or unchanged 16-bit audio, have no error to hide and stay as they are. The noise
    depends only on the number of samples before: the same audio gives the same file, however it was cut into
    writes.
    """

    def __init__(self, sample_format: SampleFormat) -> None:
        self.sample_format = sample_format
        self.clipped = 0
        self._noise = np.random.Generator(np.random.PCG64(0))

    @property
    def gst_format(self) -> str:
        """GStreamer's name of the format."""
        return {"s16": "S16LE", "s24": "S24LE", "f32": "F32LE"}[self.sample_format]

    def encode(self, samples: AudioArray) -> bytes:
        """Interleaved bytes; integer formats limit to full scale and count what was beyond it."""
        if self.sample_format == "f32":
            return samples.astype("<f4").tobytes()
        full = 1 << (15 if self.sample_format == "s16" else 23)
        scaled = samples.reshape(-1).astype(np.float64) * full
        draws = self._noise.random((len(scaled), 2))
        exact = scaled == np.rint(scaled)
        steps = np.rint(np.where(exact, scaled, scaled + draws[:, 0] - draws[:, 1]))
        self.clipped += int(np.count_nonzero((scaled > full) | (scaled < -full)))
        whole = np.clip(steps, -full, full - 1).astype("<i4")
        if self.sample_format == "s16":
            return whole.astype("<i2").tobytes()
        return whole.view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
