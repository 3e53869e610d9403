"""Report: what one conversion did, for people and for programs."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Report:
    """Figures of one finished conversion. Times in seconds or, where named so, milliseconds.

    Attributes:
        latency_ms: the whole delay from a sample's arrival to its emission: algorithmic + compute reserve +
            play-out. For a conversion from file to file only the algorithmic part exists.
        compute_seconds: spent inside the engine; `real_time_factor` is its share of `audio_seconds`.
        late_blocks: blocks of which a part came after its play-out slot.
        dropped_blocks: blocks never converted because their slot had passed.
        concealed_seconds: audio heard in place of missing input or late blocks.
        drift_corrections: samples added or dropped to follow the sender's clock.
        overload_steps: times the session gave up quality or took it back.
    """

    engine: str
    source: str
    reference: str | None
    output: str
    model: str | None = None
    sample_rate: int = 0
    audio_seconds: float = 0.0
    compute_seconds: float = 0.0
    real_time_factor: float = 0.0
    algorithmic_latency_ms: float = 0.0
    compute_reserve_ms: float = 0.0
    playout_ms: float = 0.0
    latency_ms: float = 0.0
    blocks: int = 0
    late_blocks: int = 0
    dropped_blocks: int = 0
    received_packets: int = 0
    lost_packets: int = 0
    late_packets: int = 0
    concealed_seconds: float = 0.0
    drift_corrections: int = 0
    overload_steps: int = 0
    samples_in: int = 0
    samples_out: int = 0
    warnings: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """All fields, for JSON."""
        self.real_time_factor = self.compute_seconds / self.audio_seconds if self.audio_seconds else 0.0
        return {name: round(value, 6) if isinstance(value, float) else value for name, value in asdict(self).items()}

    def lines(self) -> list[str]:
        """A few lines for a terminal."""
        values = self.as_dict()
        text = [
            f"{values['audio_seconds']:.2f} s converted by {self.engine} in {self.compute_seconds:.2f} s of "
            f"compute (real-time factor {values['real_time_factor']:.3f})",
            f"latency {self.latency_ms:.0f} ms = algorithmic {self.algorithmic_latency_ms:.0f}"
            f" + compute {self.compute_reserve_ms:.0f} + play-out {self.playout_ms:.0f}",
        ]
        if self.received_packets or self.lost_packets:
            text.append(
                f"packets: {self.received_packets} received, {self.lost_packets} lost, "
                f"{self.late_packets} late; {self.concealed_seconds:.2f} s concealed"
            )
        if self.late_blocks or self.dropped_blocks:
            text.append(f"blocks: {self.late_blocks} late, {self.dropped_blocks} dropped of {self.blocks}")
        text.append(f"written to {self.output}")
        return text
