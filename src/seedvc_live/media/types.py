"""The contracts between media and a session: Chunk, Source, Sink and their counters.

Every rate is in Hz, every length in samples (frames, where there are several channels) at the *target*
rate of the source or sink, every time in seconds of `time.monotonic()`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

AudioArray = npt.NDArray[np.float32]
"""float32, nominally in [-1, 1]: shape (n,) for one channel, (n, channels) for more."""


@dataclass(frozen=True, eq=False)
class Chunk:
    """A run of contiguous samples from a source.

    Attributes:
        samples: shape (n,) float32, mono at the source's target rate; (n, channels) when the source was
            asked for more than one channel. n >= 1.
        arrival_time: `time.monotonic()` when the last of these samples left the decoder.
        gap_samples: media time missing *before* this chunk and not filled with silence, in samples at the
            target rate; 0 when the chunk continues the one before it. Short gaps are filled by the source
            itself.
    """

    samples: AudioArray
    arrival_time: float
    gap_samples: int = 0

    def __len__(self) -> int:
        return int(self.samples.shape[0])


@dataclass
class SourceStats:
    """What a source has counted since `start()`. Packet counters stay 0 for files and devices.

    Attributes:
        samples: delivered by `read_chunk`, silence that fills gaps included.
        packets_received: accepted RTP packets or raw UDP datagrams.
        packets_lost: never arrived (RTP: known by the sequence number).
        packets_late: arrived after their place had been concealed, or pushed out of the jitter buffer.
        packets_duplicate: arrived more than once.
        packets_rejected: of a foreign SSRC, or not what the port expects.
        concealed_samples: invented by the decoder in place of lost packets.
        filled_samples: silence put into short gaps of media time.
        discontinuities: gaps too long to fill, reported as `Chunk.gap_samples`.
        gap_samples: total length of those.
        overrun_samples: thrown away, oldest first, because nobody read them in time.
        restarts: times the sender came back with a new SSRC.
        dropped_bytes: raw UDP bytes beyond the last whole sample of a datagram.
        nonfinite_samples: NaN or infinite raw UDP samples replaced by 0.
        clipped_samples: raw UDP samples limited to [-4, 4].
    """

    samples: int = 0
    packets_received: int = 0
    packets_lost: int = 0
    packets_late: int = 0
    packets_duplicate: int = 0
    packets_rejected: int = 0
    concealed_samples: int = 0
    filled_samples: int = 0
    discontinuities: int = 0
    gap_samples: int = 0
    overrun_samples: int = 0
    restarts: int = 0
    dropped_bytes: int = 0
    nonfinite_samples: int = 0
    clipped_samples: int = 0

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


@dataclass
class SinkStats:
    """What a sink has counted since `start()`.

    Attributes:
        samples: accepted by `write`.
        skipped_samples: passed over by `skip`.
        packets: RTP packets or datagrams sent.
        bytes: payload bytes sent or written.
        clipped_samples: beyond full scale of an integer format, limited to it.
        dropped_samples: thrown away because the device or network did not take them in time.
    """

    samples: int = 0
    skipped_samples: int = 0
    packets: int = 0
    bytes: int = 0
    clipped_samples: int = 0
    dropped_samples: int = 0

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


@runtime_checkable
class Source(Protocol):
    """Where audio comes from. One reader thread; `stop()` may come from another."""

    rate: int
    """Target rate of the chunks, in Hz."""
    channels: int
    live: bool
    """True when audio arrives in real time and waits for nobody; False for files, which wait for the
    reader.
    """

    def start(self) -> None:
        """Open and begin. What is wrong with the source is found here where that is possible.

        Raises:
            InputError: missing, unreadable, empty, not audio, or the port is in use.
            MissingElementError: a GStreamer plugin is not installed.
        """

    def read_chunk(self, timeout: float) -> Chunk | None:
        """The next chunk, waiting at most `timeout` seconds; None when there is none yet, or no more (see
        `ended`).

        Raises:
            InputError: reading failed since the last call.
        """

    @property
    def ended(self) -> bool:
        """True once every sample has been read and none will follow."""

    @property
    def stats(self) -> SourceStats:
        """A snapshot of the counters; stays readable after `stop()`."""

    @property
    def duration(self) -> float | None:
        """Length in seconds if the source knows it (after `start()`); an estimate for some formats."""

    @property
    def truncated(self) -> str | None:
        """Why the input ended early (a file cut short), as one line; None when it is whole as far as
        known.
        """

    def stop(self) -> None:
        """Close everything. May be called twice, and before `start()`."""


@runtime_checkable
class Sink(Protocol):
    """Where audio goes. One writer thread."""

    rate: int
    """Rate of the samples given to `write`, in Hz."""
    channels: int
    live: bool
    """True when the sink plays or sends at once (the caller paces the writes); False for files."""

    def start(self) -> None:
        """Open and begin.

        Raises:
            OutputError: the destination cannot be opened.
            MissingElementError: a GStreamer plugin is not installed.
        """

    def write(self, samples: AudioArray) -> None:
        """Append samples, shape (n,) or (n, channels). Files may block; live sinks never do.

        Raises:
            OutputError: writing failed since the last call.
        """

    def skip(self, n: int) -> None:
        """Advance media time by n samples without data: files and raw UDP get silence, RTP a timestamp
        jump.
        """

    def finish(self, timeout: float = 10.0) -> None:
        """Drain, finalise (a file appears under its own name only now) and close. Once; later calls do
        nothing.

        Raises:
            OutputError: it could not be finalised; nothing is left under the final name.
        """

    def abort(self) -> None:
        """Close at once, leaving nothing under the final name. May be called any time, also after
        `finish()`.
        """

    @property
    def stats(self) -> SinkStats:
        """A snapshot of the counters; stays readable after the end."""
