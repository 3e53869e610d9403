"""nano under the live converter: what holds for every engine holds for it."""

from __future__ import annotations

import numpy as np
import pytest

from seedvc_live.audio.pcm import Pcm
from seedvc_live.engines.base import Voice
from seedvc_live.engines.nano.engine import NanoEngine
from seedvc_live.live.converter import LiveConverter
from tests.engines.nano.streams import run


@pytest.mark.parametrize("chunk", [160, 480, 3841, 48000])
def test_chunking_changes_nothing(engine: NanoEngine, voice: Voice, low: Pcm, chunk: int) -> None:
    samples = low.samples[: 24000 + 13]
    live = LiveConverter(engine, voice, seed=2)
    parts = [live.push(samples[i : i + chunk]) for i in range(0, len(samples), chunk)]
    out = np.concatenate([*parts, live.flush()])
    np.testing.assert_array_equal(out, run(engine, voice, samples, seed=2)[0])
