from __future__ import annotations

import numpy as np
import pytest

from seedvc_live.audio.pcm import Pcm


def test_samples_become_float32_and_are_counted() -> None:
    pcm = Pcm([0.0] * 800, 16_000)
    assert pcm.samples.dtype == np.float32
    assert len(pcm) == 800
    assert pcm.seconds == 0.05
    assert len(pcm.head(0.01)) == 160
    assert len(pcm.head(9.0)) == 800


@pytest.mark.parametrize(("samples", "rate"), [(np.zeros((2, 3)), 16_000), (np.zeros(3), 0)])
def test_what_is_not_mono_audio_is_refused(samples, rate) -> None:
    with pytest.raises(ValueError, match="must"):
        Pcm(samples, rate)
