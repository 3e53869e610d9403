"""The pitch estimator against recorded numbers."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from seedvc_live.engines.seedvc.rmvpe import Rmvpe, decode

from .conftest import load
from .pseudo import check_crc, check_layout, fill

pytestmark = pytest.mark.torch
SALIENCE = 1e-4


@lru_cache(maxsize=1)
def network() -> Rmvpe:
    module = fill(Rmvpe())
    assert isinstance(module, Rmvpe)
    return module


@pytest.mark.vector_files("rmvpe/keys.json")
def test_keys_are_the_checkpoints(file: Path) -> None:
    check_layout(Rmvpe(), file)


@pytest.mark.vector_files("rmvpe/crc32.json")
def test_weights_are_the_recorded_ones(file: Path) -> None:
    check_crc(network(), file)


@pytest.mark.vector_files("rmvpe/net.npz")
def test_salience(file: Path) -> None:
    v = load(file)
    for name in [n for n in v if n.startswith("mel")]:
        salience = network()(v[name])
        recorded = v[name.replace("mel", "salience")]
        assert salience.shape == recorded.shape
        assert float((salience - recorded).abs().max()) <= SALIENCE


@pytest.mark.vector_files("rmvpe/mel.npz")
def test_salience_of_a_recorded_mel(file: Path) -> None:
    v = load(file)
    salience = network()(v["mel"])[0]
    assert float((salience - v["salience"]).abs().max()) <= SALIENCE


@pytest.mark.vector_files("rmvpe/decode.npz")
def test_decode(file: Path) -> None:
    v = load(file)
    runs = [name for name in v if name.startswith("f0_thred")]
    assert runs
    for name in runs:
        threshold = float(name.removeprefix("f0_thred").replace("p", "."))
        f0 = decode(v["salience"].numpy(), threshold)
        np.testing.assert_allclose(f0, v[name].numpy(), rtol=1e-6, atol=0)


def test_a_peak_at_one_class_is_its_pitch() -> None:
    salience = np.zeros((1, 360), np.float32)
    salience[0, 228] = 0.9
    assert decode(salience, 0.03)[0] == pytest.approx(10 * 2 ** ((1997.3794084376191 + 20 * 228) / 1200))
