"""The contract between live conversion and whatever changes the voice.

`Engine.convert` is pure and batched: all it needs is in the windows, all it remembers goes out in the
blocks and comes back in the stream's next window. So the windows of many streams can share a batch, and
a window can be computed anywhere.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from seedvc_live.audio.pcm import Pcm, Samples
from seedvc_live.errors import EngineError, SettingsError, VoiceError

State = Mapping[str, npt.NDArray[Any]]
"""What an engine remembers of one stream: arrays of a bounded size, opaque to everyone else."""

Join = Literal["none", "cos2", "sola"]

S = TypeVar("S", bound="Settings")


class Settings(BaseModel):
    """What a user can set. Engines extend it; frozen and validated.

    `block` belongs to the session, everything else may change from one block to the next.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    per_session: ClassVar[frozenset[str]] = frozenset({"block"})
    """Names of the fields that cannot change while a session runs."""

    block: float = Field(default=0.16, ge=0.02, le=2.0, description="block length in seconds")

    @classmethod
    def parse(cls: type[S], values: Mapping[str, Any]) -> S:
        """Validate `values` (name → value).

        Raises:
            SettingsError: a name is unknown or a value out of range; the message names field and range.
        """
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            first = error.errors()[0]
            field = str(first["loc"][0]) if first["loc"] else "settings"
            known = ", ".join(sorted(cls.model_fields))
            if first["type"] == "extra_forbidden":
                raise SettingsError(field, f"unknown setting '{field}'; known: {known}") from None
            raise SettingsError(
                field, f"setting '{field}': {first['msg']}, got {first.get('input')!r}{cls._range_of(field)}"
            ) from None

    @classmethod
    def _range_of(cls, field: str) -> str:
        schema = cls.model_json_schema()["properties"].get(field, {})
        low, high = schema.get("minimum"), schema.get("maximum")
        return "" if low is None or high is None else f" (allowed: {low} to {high})"


@dataclass(frozen=True)
class Geometry:
    """Sizes of a stream's windows, in samples at the engine's rate.

    A window holds `left_context` + `block` + `crossfade` + `search` + `lookahead` samples, and converting
    it gives `block` + `crossfade` + `search` samples: those of the block, and what the join with the next
    block needs.
    """

    left_context: int
    block: int
    lookahead: int
    crossfade: int = 0
    search: int = 0
    join: Join = "none"

    def __post_init__(self) -> None:
        sizes = (self.left_context, self.lookahead, self.crossfade, self.search)
        if self.block < 1 or min(sizes) < 0:
            raise ValueError(f"sizes must be positive: {self}")
        if self.crossfade > self.block:
            raise ValueError(f"crossfade may not exceed the block: {self}")
        if self.join == "none" and (self.crossfade or self.search):
            raise ValueError(f"join 'none' takes neither crossfade nor search: {self}")
        if self.search and self.join != "sola":
            raise ValueError(f"only join 'sola' searches: {self}")
        if self.join == "sola" and not self.crossfade:
            raise ValueError(f"join 'sola' needs a crossfade: {self}")

    @property
    def algorithmic_latency(self) -> int:
        """Samples between a sample's arrival and the earliest instant its conversion can be emitted."""
        return self.block + self.lookahead + self.crossfade + self.search

    @property
    def window(self) -> int:
        """Samples in one window."""
        return self.left_context + self.algorithmic_latency

    @property
    def converted(self) -> int:
        """Samples in one converted block."""
        return self.block + self.crossfade + self.search


@dataclass(frozen=True, eq=False)
class Voice:
    """What an engine derives once from a reference clip.

    Attributes:
        engine: name of the engine that made it.
        weights: hash of the weights that made it; another hash means: enroll again.
        tensors: name → array.
    """

    engine: str
    weights: str
    tensors: Mapping[str, npt.NDArray[Any]]

    def save(self, path: Path) -> None:
        """Write as safetensors."""
        arrays = {name: np.ascontiguousarray(array) for name, array in self.tensors.items()}
        save_file(arrays, str(path), metadata={"engine": self.engine, "weights": self.weights})

    @classmethod
    def load(cls, path: Path) -> Voice:
        """Read what `save` wrote.

        Raises:
            VoiceError: the file is missing, damaged or not a voice.
        """
        from safetensors import safe_open

        try:
            with safe_open(str(path), framework="numpy") as handle:
                metadata = handle.metadata() or {}
            return cls(metadata["engine"], metadata["weights"], load_file(str(path)))
        except (OSError, KeyError, SafetensorError) as error:
            raise VoiceError(f"not a voice file: {path} ({error})") from None


@dataclass(frozen=True, eq=False)
class Window:
    """One block's work.

    Attributes:
        start: absolute index, in its stream, of the block's first sample. The window's first sample is
            `start - left_context`; samples before the stream's begin are zeros.
        samples: shape (geometry.window,), float32.
        voice: the target.
        settings: per-block settings in force.
        seed: the stream's seed; every random draw is indexed by (seed, absolute frame).
        state: what the previous block of the stream returned; None starts cold from the left context.
    """

    start: int
    samples: Samples
    voice: Voice
    settings: Settings
    seed: int = 0
    state: State | None = None


@dataclass(frozen=True, eq=False)
class Block:
    """A converted window.

    Attributes:
        start: as in its window.
        samples: shape (geometry.converted,), float32.
        state: for the stream's next window.
    """

    start: int
    samples: Samples
    state: State | None = None


class Engine(ABC):
    """Changes the voice. Implementations are safe to call from one thread at a time."""

    name: ClassVar[str]
    settings_type: ClassVar[type[Settings]] = Settings
    needs_reference: ClassVar[bool] = True
    """False: `default_voice` works without a reference clip."""
    has_clip_mode: ClassVar[bool] = False
    """True: `convert_clip` exists, a mode of its own for whole clips."""
    clip_settings: ClassVar[Mapping[str, Any]] = {}
    """Defaults of `convert_clip` where they differ from those of a stream."""

    @property
    @abstractmethod
    def sample_rate(self) -> int:
        """Rate of windows and blocks, in Hz."""

    @property
    @abstractmethod
    def weights_hash(self) -> str:
        """Identifies the weights; a `Voice` made with others must be made again."""

    @abstractmethod
    def geometry(self, settings: Settings, voice: Voice) -> Geometry:
        """Window sizes for a session with these settings."""

    @abstractmethod
    def enroll(self, reference: Pcm) -> Voice:
        """Derive a voice from a clip of 1-30 s (the first 30 s of a longer one).

        Raises:
            VoiceError: the clip is shorter than 1 s, silent, or not finite.
        """

    @abstractmethod
    def convert(self, windows: Sequence[Window]) -> list[Block]:
        """Convert a batch, one block per window, in order."""

    def convert_clip(
        self, source: Pcm, voice: Voice, settings: Settings, *, seed: int = 0, length_adjust: float = 1.0
    ) -> Iterator[Samples]:
        """Convert a whole clip in the engine's own way for clips; the parts, put together, are the result.

        Args:
            source: at any rate.
            length_adjust: duration of the result over that of the source.

        Raises:
            EngineError: this engine has streams only, or the clip is too short for it.
        """
        raise EngineError(f"engine '{self.name}' has no mode of its own for whole clips")

    def approximations(self, voice: Voice, settings: Settings) -> list[str]:
        """For each approximation that was opted in, a line with its measured difference from the exact result."""
        return []

    def default_voice(self) -> Voice:
        """The voice of an engine that needs no reference.

        Raises:
            VoiceError: this engine needs a reference clip.
        """
        raise VoiceError(f"engine '{self.name}' needs a reference clip")

    def warm_up(self) -> None:  # noqa: B027  (nothing to warm is a valid answer)
        """Run once before the first session, so that the first block is not slow."""

    def close(self) -> None:  # noqa: B027
        """Free what the engine holds. Calling it twice does no harm."""
