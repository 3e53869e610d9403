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
        size = round(window * RATE)
        found = []
        for at in range(max(0, self.sample_at(first)), min(len(self.samples), self.sample_at(last)) - size + 1, size):
            part = self.samples[at : at + size]
            now = self.time_of(at) - self.begin
            # Between 0 and 1.5 s before: that much is searched.
            start = round((now - 1.5) * RATE)
            span = np.take(said, np.arange(start, start + size + round(1.5 * RATE)), mode="wrap")
            length = 1 << (len(span) + size).bit_length()
            cross = np.fft.irfft(np.fft.rfft(span, length) * np.conj(np.fft.rfft(part, length)), length)
            scores = cross[: len(span) - size + 1]
            best = int(np.argmax(scores))
            energy = np.linalg.norm(span[best : best + size]) * np.linalg.norm(part)
            if energy > 0 and scores[best] / energy > 0.3:
                found.append(1.5 - best / RATE)
        return np.array(found)
