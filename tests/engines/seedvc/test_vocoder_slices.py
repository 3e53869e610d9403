"""Synthesising only what is heard gives what the whole gives."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from seedvc_live.engines.seedvc.noise import IndexedNoise

from .build import small_networks
from .conftest import assert_near

pytestmark = pytest.mark.torch


@pytest.mark.parametrize("model", ["xlsr-tiny", "whisper-small", "singing-44k"])
def test_a_slice_equals_the_whole(model: str) -> None:
    networks = small_networks(model)
    mel = torch.randn(2, networks.config.mel.n_mels, 120, generator=torch.Generator().manual_seed(1)) * 1.5 - 4
    hop = networks.config.mel.hop

    def run(first: int, count: int) -> Any:
        return networks.vocoder.synthesise(mel, first, count, IndexedNoise(), [1, 2], [0, 999])

    whole = run(0, 120 * hop)
    assert whole.shape == (2, 120 * hop)
    for first, count in ((0, 5292), (60 * hop + 17, 5292), (110 * hop, 10 * hop)):
        assert_near(run(first, count), whole[:, first : first + count], 1e-4)
