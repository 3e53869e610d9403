"""What a user of the Seed-VC engine can set."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, model_validator

from seedvc_live.engines.base import Settings


class SeedVCSettings(Settings):
    """Settings of one stream. Times in seconds; all are rounded to 20 ms, the content encoder's frame."""

    per_session: ClassVar[frozenset[str]] = frozenset({"block", "crossfade", "context", "dit_context", "lookahead"})

    block: float = Field(default=0.18, ge=0.02, le=2.0, description="block length in seconds")
    diffusion_steps: int = Field(default=10, ge=1, le=100, description="Euler steps of the flow")
    cfg_rate: float = Field(default=0.7, ge=0.0, le=2.0, description="guidance; 0 halves the work")
    pitch_shift: float = Field(default=0.0, ge=-24, le=24, description="semitones; needs a model with pitch")
    auto_f0: bool = Field(default=True, description="move the source's median pitch to the reference's")
    prompt_seconds: float = Field(default=3.0, ge=1.0, le=25.0, description="how much of the reference is used")
    crossfade: float = Field(default=0.04, ge=0.02, le=0.5, description="overlap of blocks")
    context: float = Field(default=2.5, ge=0.02, le=10.0, description="past that the content encoder sees")
    dit_context: float = Field(default=0.5, ge=0.02, le=10.0, description="past that the transformer sees")
    lookahead: float = Field(default=0.02, ge=0.0, le=2.0, description="future that both see")

    @model_validator(mode="after")
    def _contexts_nest(self) -> SeedVCSettings:
        if self.dit_context > self.context:
            raise ValueError("dit_context may not exceed context")
        return self
