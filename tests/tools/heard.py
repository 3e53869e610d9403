"""What a probe heard: the audio on its time line, and by how much it lags what was said."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.tools.opus import RATE, decode_packets


@dataclass(frozen=True, eq=False)
class Heard:
    """A recording by `probe`.

    Attributes:
        samples: mono, 48 kHz, from the first packet's time stamp on; lost packets are concealed.
        concealed: how many samples stand for lost packets.
        begin: when the first sample was said, seconds of the monotonic clock.
        sequence, stamps: of each packet, unwrapped, in order of arrival.
        arrivals: seconds of the monotonic clock.
    """

    samples: np.ndarray
    concealed: int
    begin: float
    sequence: np.ndarray
    stamps: np.ndarray
    arrivals: np.ndarray

    @classmethod
    def load(cls, path: Path) -> Heard:
        with np.load(path) as noted:
            ends = np.cumsum(noted["lengths"])
            data = noted["payloads"].tobytes()
            payloads = [data[end - size : end] for end, size in zip(ends, noted["lengths"], strict=True)]
            samples, concealed = decode_packets(noted["sequence"], noted["stamps"], payloads)
            return cls(samples, concealed, float(noted["begin"]), noted["sequence"], noted["stamps"], noted["arrivals"])

    @property
    def lost(self) -> float:
        """Share of the packets that did not arrive."""
        expected = int(self.sequence.max() - self.sequence.min()) + 1
        return 1.0 - len(np.unique(self.sequence)) / expected

    @property
    def seconds(self) -> tuple[float, float]:
        """Time that passed between first and last packet: by the time stamps, and by the clock."""
        return float(self.stamps[-1] - self.stamps[0]) / RATE, float(self.arrivals[-1] - self.arrivals[0])

    def time_of(self, sample: float, window: float = 2.0) -> float:
        """When a sample of `samples` arrived: by the packets around it, without their jitter."""
        at = (self.stamps - self.stamps.min()) / RATE
        near = np.abs(at - sample / RATE) <= window
        return float(np.median(self.arrivals[near] - at[near]) + sample / RATE)

    def sample_at(self, when: float) -> int:
        """The sample that arrived at a time of the monotonic clock."""
        at = (self.stamps - self.stamps.min()) / RATE
        return round((when - float(np.median(self.arrivals - at))) * RATE)

    def delays(self, said: np.ndarray, first: float, last: float, window: float = 2.0) -> np.ndarray:
        """Seconds from mouth to ear, one for each window of the recording in which something is said.

        Args:
            said: what was said, repeated, 48 kHz.
            first, last: between which times of the monotonic clock.
        """
        return self._delays(self.samples, said, RATE, first, last, window)

    def delays_by_envelope(self, said: np.ndarray, first: float, last: float, window: float = 5.0) -> np.ndarray:
        """The same for a converted voice, whose waveform is another: by the loudness, to some milliseconds."""
        return self._delays(_envelope(self.samples), _envelope(said), _ENVELOPE_RATE, first, last, window)

    def _delays(
        self, heard: np.ndarray, said: np.ndarray, rate: int, first: float, last: float, window: float
    ) -> np.ndarray:
        size, reach = round(window * rate), round(_LONGEST_DELAY * rate)
        begin, end = (max(0, self.sample_at(when)) * rate // RATE for when in (first, last))
        found = []
        for at in range(begin, min(len(heard), end) - size + 1, size // 2):
            part = heard[at : at + size]
            now = self.time_of(at * RATE / rate) - self.begin
            start = round((now - _LONGEST_DELAY) * rate)
            span = np.take(said, np.arange(start, start + size + reach), mode="wrap")
            scores = _similarity(span, part)
            best = int(np.argmax(scores))
            if scores[best] > 0.4:
                found.append(now - (start + best + _peak(scores, best)) / rate)
        return np.array(found)


_LONGEST_DELAY = 1.5
_ENVELOPE_RATE = 200


def _envelope(samples: np.ndarray) -> np.ndarray:
    """Loudness, dB above a floor, 200 times a second: power in overlapping Hann windows of 20 ms."""
    hop = RATE // _ENVELOPE_RATE
    window = np.hanning(4 * hop)
    power = np.convolve(samples.astype(np.float64) ** 2, window / window.sum(), "same")[hop // 2 :: hop]
    return np.log10(power + 1e-6) + 6.0


def _similarity(span: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Correlation coefficient of `part` with each stretch of `span`."""
    size = len(part)
    length = 1 << (len(span) + size).bit_length()
    centred = part - part.mean()
    cross = np.fft.irfft(np.fft.rfft(span, length) * np.conj(np.fft.rfft(centred, length)), length)
    sums, squares = (np.concatenate([[0.0], np.cumsum(span.astype(np.float64) ** power)]) for power in (1, 2))
    variance = squares[size:] - squares[:-size] - (sums[size:] - sums[:-size]) ** 2 / size
    scale = np.sqrt(np.maximum(variance, 0)) * np.linalg.norm(centred)
    return cross[: len(variance)] / np.maximum(scale, 1e-9)


def _peak(scores: np.ndarray, best: int) -> float:
    """Where between samples the maximum is, by the parabola through it and its neighbours."""
    if not 0 < best < len(scores) - 1:
        return 0.0
    left, middle, right = scores[best - 1 : best + 2]
    bend = left - 2 * middle + right
    return float(0.5 * (left - right) / bend) if bend < 0 else 0.0
