"""Windowed-sinc resampling, with which the reference clip is brought to the encoders' 16 kHz.

Hann window, six zero crossings, cut-off at 0.99 of the lower Nyquist frequency (Smith, "Digital Audio
Resampling"): a short filter, but the one whose results the checkpoints' authors feed their encoders.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil, gcd

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from seedvc_live.audio.pcm import Samples

CROSSINGS = 6
ROLLOFF = 0.99


@lru_cache(maxsize=8)
def _kernels(step_in: int, step_out: int) -> tuple[npt.NDArray[np.float32], int]:
    """One filter per output phase, (step_out, taps), and its reach on the left in input samples."""
    cutoff = min(step_in, step_out) * ROLLOFF
    width = ceil(CROSSINGS * step_in / cutoff)
    position = np.arange(-width, width + step_in) / step_in
    time = (position[None, :] - np.arange(step_out)[:, None] / step_out) * cutoff
    time = np.clip(time, -CROSSINGS, CROSSINGS)
    window = np.cos(time * np.pi / CROSSINGS / 2) ** 2
    return (np.sinc(time) * window * cutoff / step_in).astype(np.float32), width


def sinc_resample(samples: Samples, rate_in: int, rate_out: int) -> Samples:
    """Resample, shape (n,) → (ceil(n · rate_out / rate_in),). Rates in Hz."""
    if rate_in == rate_out:
        return np.asarray(samples, dtype=np.float32)
    divisor = gcd(rate_in, rate_out)
    step_in, step_out = rate_in // divisor, rate_out // divisor
    kernels, width = _kernels(step_in, step_out)
    x = torch.from_numpy(np.ascontiguousarray(samples, dtype=np.float32))
    padded = F.pad(x, (width, width + step_in))[None, None]
    phases = F.conv1d(padded, torch.from_numpy(kernels)[:, None], stride=step_in)
    wanted = ceil(len(samples) * step_out / step_in)
    return phases[0].T.reshape(-1)[:wanted].numpy()
