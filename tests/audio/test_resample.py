"""Resampling: exact lengths, chunk invariance bit for bit, streaming equals offline, right content."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedvc_live.audio.pcm import Pcm
from seedvc_live.audio.resample import StreamResampler, resample

RATES = [8000, 16000, 22050, 24000, 32000, 44100, 48000, 96000]
METHODS = ["soxr", "polyphase"]


def noise(n: int, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(n) * 0.1).astype(np.float32)


def stream(x: np.ndarray, rate_in: int, rate_out: int, sizes: list[int], method: str) -> np.ndarray:
    resampler = StreamResampler(rate_in, rate_out, 1 if x.ndim == 1 else x.shape[1], method=method)
    parts, at, turn = [], 0, 0
    while at < len(x):
        n = sizes[turn % len(sizes)]
        parts.append(resampler.push(x[at : at + n]))
        at, turn = at + n, turn + 1
    parts.append(resampler.flush())
    return np.concatenate(parts)


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=60, deadline=None)
@given(
    rate_in=st.sampled_from(RATES),
    rate_out=st.sampled_from(RATES),
    n=st.integers(0, 6000),
    sizes=st.lists(st.integers(1, 2000), min_size=1, max_size=5),
)
def test_length_and_chunk_invariance(method: str, rate_in: int, rate_out: int, n: int, sizes: list[int]) -> None:
    x = noise(n)
    whole = resample(Pcm(x, rate_in), rate_out, method=method).samples
    assert abs(len(whole) - n * rate_out / rate_in) <= 1
    assert np.array_equal(stream(x, rate_in, rate_out, sizes, method), whole)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [1, 7, 160, 480, 48000])
def test_the_usual_chunks(method: str, size: int) -> None:
    x = noise(9000)
    whole = resample(Pcm(x, 48000), 22050, method=method).samples
    assert np.array_equal(stream(x, 48000, 22050, [size], method), whole)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("rate_in", "rate_out"), [(48000, 22050), (22050, 48000), (16000, 48000), (96000, 8000)])
def test_a_tone_keeps_its_place_and_level(method: str, rate_in: int, rate_out: int) -> None:
    x = np.sin(2 * np.pi * 1000 * np.arange(rate_in) / rate_in).astype(np.float32)
    y = resample(Pcm(x, rate_in), rate_out, method=method).samples
    expected = np.sin(2 * np.pi * 1000 * np.arange(len(y)) / rate_out)
    middle = slice(rate_out // 10, -rate_out // 10)
    assert np.abs(y - expected)[middle].max() < 2e-4


@pytest.mark.parametrize("method", METHODS)
def test_nothing_folds_back(method: str) -> None:
    x = np.sin(2 * np.pi * 15000 * np.arange(48000) / 48000).astype(np.float32)
    y = resample(Pcm(x, 48000), 22050, method=method).samples
    assert np.abs(y[2000:-2000]).max() < 1e-4  # -80 dB


@pytest.mark.parametrize(("rate_in", "rate_out"), [(48000, 22050), (22050, 48000), (24000, 48000)])
def test_polyphase_holds_back_less_than_2_ms(rate_in: int, rate_out: int) -> None:
    resampler = StreamResampler(rate_in, rate_out, method="polyphase")
    given_samples = returned = 0
    for _ in range(100):
        returned += len(resampler.push(noise(rate_in // 100)))
        given_samples += rate_in // 100
        assert given_samples / rate_in - returned / rate_out < 0.002


@pytest.mark.parametrize("method", METHODS)
def test_channels_are_resampled_alike(method: str) -> None:
    left, right = noise(5000, 1), noise(5000, 2)
    both = stream(np.stack([left, right], axis=1), 44100, 16000, [777], method)
    assert np.array_equal(both[:, 0], stream(left, 44100, 16000, [777], method))
    assert np.array_equal(both[:, 1], stream(right, 44100, 16000, [777], method))


def test_equal_rates_change_nothing() -> None:
    x = noise(1000)
    assert np.array_equal(stream(x, 22050, 22050, [33], "polyphase"), x)
    pcm = Pcm(x, 16000)
    assert resample(pcm, 16000) is pcm


def test_misuse() -> None:
    with pytest.raises(ValueError, match="positive"):
        StreamResampler(0, 48000)
    with pytest.raises(ValueError, match="unknown method"):
        StreamResampler(16000, 48000, method="linear")
    resampler = StreamResampler(16000, 48000)
    with pytest.raises(ValueError, match="shape"):
        resampler.push(np.zeros((4, 2), np.float32))
    resampler.flush()
    with pytest.raises(ValueError, match="flushed"):
        resampler.push(noise(4))
    with pytest.raises(ValueError, match="flushed"):
        resampler.flush()
