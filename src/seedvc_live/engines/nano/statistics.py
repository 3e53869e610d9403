"""Running statistics of a stream's source: how loud, how high, and what its content is on average."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from seedvc_live.engines.nano import grid, reference

Array = npt.NDArray[np.float32]

_MEMORY = 60.0
"""Seconds of speech after which older speech fades from the means."""
_PEAK_DECAY = 1.0
"""dB by which the peak level sinks in a second of speech (never in silence)."""
_LEVEL_PRIOR = 5.0
"""Points by which the first level mean is drawn to 10 dB below the peak."""
_REGISTER_PRIOR = 3.0
"""Voiced points by which the first register is drawn to the general one."""
_SPREAD_PRIOR = 200.0
_FLOOR_RISE = 2.0
"""dB by which the noise floor may rise in a second."""
_SILENCE = -90.0
"""dB; digital silence says nothing of the room."""


@dataclass(frozen=True)
class Statistics:
    """Sums over what was active so far; immutable, `updated` gives the next."""

    content: Array
    """Sum of content, shape (384,)."""
    steps: float = 0.0
    peak: float = -100.0
    level: float = 0.0
    points: float = 0.0
    pitch: float = 0.0
    """Sum of log F0 over voiced points."""
    square: float = 0.0
    voiced: float = 0.0
    floor: float = 0.0
    """dB below which nothing has been for a while: the room and the microphone."""

    @classmethod
    def empty(cls) -> Statistics:
        """Of a stream that has not begun."""
        return cls(np.zeros(384, np.float32))

    def updated(self, content: Array, level: Array, log_f0: Array, voicing: Array) -> Statistics:
        """With further steps: content (n, 384); level, source log F0 and voicing at their points (2n,)."""
        peak = max(self.peak, float(level.max()))
        speech = reference.active(level, peak)
        peak = max(peak - _PEAK_DECAY * int(speech.sum()) * grid.HOP / grid.RATE, float(level.max()))
        of_steps = speech[1::2]
        pitched = speech & (voicing >= 0.5)
        keep_steps = min(1.0, _MEMORY * grid.RATE / grid.STEP / max(1.0, self.steps))
        keep = min(1.0, _MEMORY * grid.RATE / grid.HOP / max(1.0, self.points))
        keep_voiced = min(1.0, _MEMORY * grid.RATE / grid.HOP / max(1.0, self.voiced))
        heights = log_f0[pitched].astype(np.float64)
        rise = _FLOOR_RISE * grid.HOP / grid.RATE
        heard = level[level > _SILENCE]
        ages = np.arange(len(heard))[::-1]
        return Statistics(
            content=(keep_steps * self.content + content[of_steps].sum(0)).astype(np.float32),
            steps=keep_steps * self.steps + int(of_steps.sum()),
            peak=peak,
            level=keep * self.level + float(level[speech].sum()),
            points=keep * self.points + int(speech.sum()),
            pitch=keep_voiced * self.pitch + float(heights.sum()),
            square=keep_voiced * self.square + float(np.square(heights).sum()),
            voiced=keep_voiced * self.voiced + len(heights),
            floor=min(self.floor + rise * len(heard), float((heard + rise * ages).min(initial=0.0))),
        )

    def content_mean(self, constants: Mapping[str, npt.NDArray[Any]]) -> Array:
        """Mean content, shape (384,)."""
        return reference.content_mean(constants, self.content, self.steps)

    def mean_level(self) -> float:
        """Mean level of the speech so far, dB."""
        prior = max(self.peak - 10, reference.ACTIVE_FLOOR)
        return (_LEVEL_PRIOR * prior + self.level) / (_LEVEL_PRIOR + self.points)

    def register(self, general: npt.NDArray[Any]) -> tuple[float, float]:
        """Mean and spread of the source's log F0; `general` is what to assume before anything is voiced."""
        centre, spread = (float(v) for v in general)
        mean = (_REGISTER_PRIOR * centre + self.pitch) / (_REGISTER_PRIOR + self.voiced)
        if self.voiced < 1:
            return mean, spread
        own = self.pitch / self.voiced
        variance = max(0.0, self.square / self.voiced - own**2)
        total = _SPREAD_PRIOR * spread**2 + self.voiced * variance
        return mean, float(np.sqrt(total / (_SPREAD_PRIOR + self.voiced)))

    def pack(self) -> dict[str, npt.NDArray[Any]]:
        """As arrays, for a stream's state."""
        numbers = [float(getattr(self, f.name)) for f in fields(self) if f.name != "content"]
        return {"content": self.content, "sums": np.array(numbers, np.float64)}

    @classmethod
    def unpack(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Statistics:
        """Inverse of `pack`."""
        names = [f.name for f in fields(cls) if f.name != "content"]
        numbers = dict(zip(names, (float(v) for v in arrays["sums"]), strict=True))
        return replace(cls(np.asarray(arrays["content"], np.float32)), **numbers)  # type: ignore[arg-type]
