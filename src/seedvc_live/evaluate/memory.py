"""What a judge has said of a clip, kept on disk: a rerun judges only what is new.

Floor, ceiling and WORLD do not depend on the engine, and are most of an evaluation's time. A verdict is kept
under the hash of the samples, the rate, and everything that identifies the judge, so it cannot be
another clip's, nor another judge's.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from seedvc_live.audio.pcm import Pcm


class Memory:
    """Verdicts in a folder; None keeps none."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def recall(self, judge: str, clip: Pcm, make: Callable[[Pcm], Any]) -> Any:
        """The verdict of `judge` on `clip`: the kept one, or else `make(clip)`, a JSON value, which is kept.

        Args:
            judge: name, weights, versions and settings of the judge.
        """
        if self._folder is None:
            return make(clip)
        digest = hashlib.sha256(f"{judge}\0{clip.rate}\0".encode())
        digest.update(np.ascontiguousarray(clip.samples, np.float32).tobytes())
        name = digest.hexdigest()
        path = self._folder / name[:2] / f"{name}.json"
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            verdict = make(clip)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(f".{os.getpid()}")
            part.write_text(json.dumps(verdict), encoding="utf-8")
            part.replace(path)
        except OSError:
            # Nothing depends on the memory: a full or read-only disk only costs time.
            pass
        return verdict
