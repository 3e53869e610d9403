"""Sample-rate conversion: a streaming resampler that equals the offline one bit for bit, and `resample`.

Two methods behind one class. `"soxr"` (SoX resampler, HQ: stop band below -100 dB) is for files; as a
stream it works in blocks and holds back up to 40 ms. `"polyphase"` is for live audio; it holds back less
than 2 ms.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil, gcd
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import soxr

from .pcm import Pcm

AudioArray = npt.NDArray[np.float32]
Method = Literal["soxr", "polyphase"]

# Zero crossings of the sinc on either side: 32 at the lower of the two rates is 1.5 ms at 22.05 kHz.
_ZERO_CROSSINGS = 32
# Kaiser window: stop band about -90 dB (Kaiser & Schafer 1980: A = beta / 0.1102 + 8.7).
_KAISER_BETA = 9.0
# Cut-off as a part of the lower Nyquist frequency; the transition band of the window ends just above 1.
_ROLLOFF = 0.91
# Output samples computed at once, so that a long push does not build a huge matrix of input windows.
_BLOCK = 4096


class StreamResampler:
    """Converts a stream from one rate to another, whatever the sizes in which it is pushed.

    The concatenation of all that `push` and `flush` return is bit-identical for any chunking, and equals the
    conversion of the whole at once. Its length is round(n * rate_out / rate_in), at most 1 sample off;
    sample k lies at time k / rate_out (the filter's delay is removed).

    Args:
        rate_in, rate_out: Hz.
        channels: 1 for arrays of shape (n,), more for (n, channels).
        method: "soxr" for files, "polyphase" for live audio.

    Raises:
        ValueError: a rate or the number of channels is not positive, or the method is unknown.
    """

    def __init__(self, rate_in: int, rate_out: int, channels: int = 1, method: Method = "soxr") -> None:
        if rate_in <= 0 or rate_out <= 0 or channels <= 0:
            raise ValueError(f"rates and channels must be positive, got {rate_in} Hz, {rate_out} Hz, {channels}")
        self.rate_in = rate_in
        self.rate_out = rate_out
        self.channels = channels
        self._flushed = False
        self._core: _Core
        if rate_in == rate_out:
            self._core = _Identity()
        elif method == "soxr":
            self._core = _Soxr(rate_in, rate_out, channels)
        elif method == "polyphase":
            self._core = _Polyphase(rate_in, rate_out, channels)
        else:
            raise ValueError(f"unknown method {method!r}; known: soxr, polyphase")

    def push(self, samples: AudioArray) -> AudioArray:
        """Feed samples, shape (n,) or (n, channels); returns what is ready, possibly nothing.

        Raises:
            ValueError: wrong shape, or the stream was flushed.
        """
        if self._flushed:
            raise ValueError("the resampler was flushed; make a new one for a new stream")
        data = np.ascontiguousarray(samples, dtype=np.float32)
        if data.ndim != (1 if self.channels == 1 else 2) or (data.ndim == 2 and data.shape[1] != self.channels):
            wanted = "(n,)" if self.channels == 1 else f"(n, {self.channels})"
            raise ValueError(f"samples must have shape {wanted}, got {data.shape}")
        return self._core.run(data, last=False) if len(data) else data

    def flush(self) -> AudioArray:
        """The rest. Once; afterwards the resampler is spent."""
        if self._flushed:
            raise ValueError("the resampler was flushed already")
        self._flushed = True
        empty = np.zeros((0,) if self.channels == 1 else (0, self.channels), dtype=np.float32)
        return self._core.run(empty, last=True)


def resample(pcm: Pcm, rate: int, method: Method = "soxr") -> Pcm:
    """The whole clip at another rate; equals `StreamResampler` bit for bit."""
    if rate == pcm.rate:
        return pcm
    stream = StreamResampler(pcm.rate, rate, method=method)
    return Pcm(np.concatenate([stream.push(pcm.samples), stream.flush()]), rate)


class _Core(Protocol):
    def run(self, data: AudioArray, last: bool) -> AudioArray: ...


class _Identity:
    def run(self, data: AudioArray, last: bool) -> AudioArray:
        return data


class _Soxr:
    def __init__(self, rate_in: int, rate_out: int, channels: int) -> None:
        self._stream: Any = soxr.ResampleStream(rate_in, rate_out, channels, dtype="float32", quality="HQ")

    def run(self, data: AudioArray, last: bool) -> AudioArray:
        out: AudioArray = self._stream.resample_chunk(data, last=last)
        return out


class _Polyphase:
    """Windowed-sinc interpolation: output k is a weighted sum of the inputs around k * rate_in / rate_out.

    With rate_out / rate_in = up / down in lowest terms there are `up` distinct sets of weights, kept in a
    table (Crochiere & Rabiner, Multirate Digital Signal Processing, 1983, chapter 3).
    """

    def __init__(self, rate_in: int, rate_out: int, channels: int) -> None:
        common = gcd(rate_in, rate_out)
        self._up, self._down = rate_out // common, rate_in // common
        self._table, self._half = _filter_table(self._up, self._down)
        # Silence before the beginning, so that output 0 is centred on input 0.
        self._kept = np.zeros((self._half - 1, channels), dtype=np.float32)
        self._kept_from = -(self._half - 1)  # stream position of the first kept sample
        self._next = 0  # index of the next output
        self._mono = channels == 1
        self._channels = channels

    def run(self, data: AudioArray, last: bool) -> AudioArray:
        frames = data.reshape(len(data), self._channels)
        end = self._kept_from + len(self._kept) + len(frames)  # inputs known so far
        tail = np.zeros((self._half if last else 0, self._channels), dtype=np.float32)
        self._kept = np.concatenate([self._kept, frames, tail])
        if last:
            stop = (2 * end * self._up + self._down) // (2 * self._down)
        else:
            # Output k needs the inputs up to floor(k * down / up) + half; this is the first k that lacks one.
            stop = max(self._next, -((self._half - end) * self._up // self._down))
        parts = [self._block(at, min(at + _BLOCK, stop)) for at in range(self._next, stop, _BLOCK)]
        self._next = max(self._next, stop)
        # What the next output no longer reaches back to can go.
        first_needed = (self._next * self._down) // self._up - (self._half - 1)
        surplus = min(max(0, first_needed - self._kept_from), len(self._kept))
        self._kept = self._kept[surplus:]
        self._kept_from += surplus
        out = np.concatenate(parts) if parts else np.zeros((0, self._channels), dtype=np.float32)
        return out[:, 0] if self._mono else out

    def _block(self, start: int, stop: int) -> AudioArray:
        position = np.arange(start, stop, dtype=np.int64) * self._down
        centre, phase = position // self._up, position % self._up
        weights, first = self._table[phase], centre - (self._half - 1) - self._kept_from
        out = np.empty((stop - start, self._channels), dtype=np.float32)
        for channel in range(self._channels):
            track = np.ascontiguousarray(self._kept[:, channel])
            rows = np.lib.stride_tricks.sliding_window_view(track, 2 * self._half)[first]
            # A sum over contiguous rows is the same for each row, however many there are; a matrix product
            # is not, nor is a sum over another memory layout.
            out[:, channel] = (rows * weights).sum(axis=-1, dtype=np.float32)
        return out


@lru_cache(maxsize=16)
def _filter_table(up: int, down: int) -> tuple[AudioArray, int]:
    """Weights of shape (up, 2 * half): row p interpolates at p / up after the sample at column half - 1."""
    cutoff = _ROLLOFF * min(1.0, up / down)  # in units of the input's Nyquist frequency
    half = ceil(_ZERO_CROSSINGS / min(1.0, up / down))
    distance = np.arange(-(half - 1), half + 1)[np.newaxis, :] - np.arange(up)[:, np.newaxis] / up
    inside = np.clip(1.0 - (distance / half) ** 2, 0.0, None)
    weights = cutoff * np.sinc(cutoff * distance) * np.i0(_KAISER_BETA * np.sqrt(inside)) / np.i0(_KAISER_BETA)
    # Every phase passes a constant unchanged; otherwise the phases' differences would be audible as a tone.
    weights /= weights.sum(axis=1, keepdims=True)
    table: AudioArray = weights.astype(np.float32)
    table.setflags(write=False)
    return table, half
