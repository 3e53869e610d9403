from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedvc_live.engines.base import Geometry
from seedvc_live.engines.passthrough import PassthroughEngine, PassthroughSettings
from seedvc_live.errors import SessionError, SettingsError
from seedvc_live.live.converter import LiveConverter
from tests.tools.engines import ModulatorEngine
from tests.tools.strategies import chunks, geometries, signals

CHUNKS = st.lists(st.sampled_from([1, 7, 160, 480, 48_000]), min_size=1, max_size=4)


class AnyGeometry(PassthroughEngine):
    """Passthrough with a geometry given in samples."""

    def __init__(self, geometry: Geometry) -> None:
        super().__init__(8000)
        self._geometry = geometry

    def geometry(self, settings, voice):  # type: ignore[no-untyped-def]
        return self._geometry


def run(live: LiveConverter, pieces: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([live.push(piece) for piece in pieces] + [live.flush()])


@given(signals(), geometries(), CHUNKS)
def test_passthrough_is_the_identity_at_every_geometry(samples, geometry, sizes) -> None:
    engine = AnyGeometry(geometry)
    out = run(LiveConverter(engine, engine.default_voice()), chunks(samples, sizes))
    assert out.shape == samples.shape
    assert np.array_equal(out, samples)


@given(signals(), geometries(), CHUNKS)
def test_chunking_does_not_change_a_bit(samples, geometry, sizes) -> None:
    engine = ModulatorEngine(geometry)
    voice = engine.voice(440.0)
    whole = run(LiveConverter(engine, voice), [samples])
    pieces = run(LiveConverter(engine, voice), chunks(samples, sizes))
    assert whole.shape == samples.shape
    assert np.array_equal(whole, pieces)


@given(signals(), geometries().filter(lambda g: g.search == 0), CHUNKS)
def test_streaming_equals_offline(samples, geometry, sizes) -> None:
    engine = ModulatorEngine(geometry)
    out = run(LiveConverter(engine, engine.voice(440.0)), chunks(samples, sizes))
    np.testing.assert_allclose(out, engine.offline(samples, 440.0), atol=1e-5)


@given(signals(), geometries(), st.integers(0, 3000))
def test_emission_lags_by_no_more_than_the_algorithmic_latency(samples, geometry, cut) -> None:
    engine = ModulatorEngine(geometry)
    live = LiveConverter(engine, engine.voice(100.0))
    head = samples[:cut]
    out = live.push(head)
    assert len(head) - len(out) <= geometry.algorithmic_latency
    assert live.algorithmic_latency == geometry.algorithmic_latency / 8000


@given(signals(), geometries())
def test_flush_gives_the_rest_exactly_once(samples, geometry) -> None:
    engine = AnyGeometry(geometry)
    live = LiveConverter(engine, engine.default_voice())
    head = live.push(samples)
    assert len(head) + len(live.flush()) == len(samples)
    assert len(live.flush()) == 0
    with pytest.raises(SessionError, match="flushed"):
        live.push(samples)


def tone(seconds: float, rate: int = 8000) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * 100 * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def largest_step(samples: np.ndarray) -> float:
    return float(np.max(np.abs(np.diff(samples))))


@settings(max_examples=30)
@given(st.integers(1, 6000), st.sampled_from(["none", "cos2"]))
def test_voice_switch_is_without_gap_or_click(cut, join) -> None:
    crossfade = 80 if join == "cos2" else 0
    engine = ModulatorEngine(Geometry(200, 400, 100, crossfade, 0, join))
    samples = tone(1.0)
    live = LiveConverter(engine, engine.voice(20.0))
    first = live.push(samples[:cut])
    live.set_voice(engine.voice(31.0))
    out = np.concatenate([first, live.push(samples[cut:]), live.flush()])
    assert out.shape == samples.shape
    steady = max(largest_step(engine.offline(samples, hertz)) for hertz in (20.0, 31.0))
    assert largest_step(out) < 1.5 * steady
    before = len(first)
    np.testing.assert_allclose(out[:before], engine.offline(samples, 20.0)[:before], atol=1e-5)
    assert np.max(np.abs(out[before + 600 :] - engine.offline(samples, 20.0)[before + 600 :]), initial=0) > (
        0.05 if before < 6000 else -1
    )


@settings(max_examples=30)
@given(st.integers(1, 3000), st.integers(3500, 7000), st.sampled_from(["none", "cos2", "sola"]))
def test_bypass_gives_the_delayed_source_without_click(on, off, join) -> None:
    crossfade, search = {"none": (0, 0), "cos2": (80, 0), "sola": (80, 40)}[join]
    geometry = Geometry(200, 400, 100, crossfade, search, join)
    engine = ModulatorEngine(geometry)
    samples = tone(1.0)
    live = LiveConverter(engine, engine.voice(20.0))
    head = live.push(samples[:on])
    live.bypass = True
    middle = live.push(samples[on:off])
    calls = engine.calls
    live.bypass = False
    out = np.concatenate([head, middle, live.push(samples[off:]), live.flush()])
    assert out.shape == samples.shape
    dry = slice(len(head) + 2 * geometry.block, len(head) + len(middle))
    assert np.array_equal(out[dry], samples[dry])
    assert largest_step(out) < 1.5 * max(largest_step(samples), largest_step(engine.offline(samples, 20.0)))
    assert engine.calls > calls


def test_bypass_costs_no_conversion_once_faded() -> None:
    engine = ModulatorEngine(Geometry(0, 400, 0))
    live = LiveConverter(engine, engine.voice(20.0))
    live.push(tone(0.2))
    live.bypass = True
    live.push(tone(0.2))
    calls = engine.calls
    live.push(tone(1.0))
    assert engine.calls == calls


def test_settings_change_between_blocks_and_are_checked() -> None:
    engine = ModulatorEngine(Geometry(0, 400, 0, 80, 0, "cos2"))
    samples = tone(1.0)
    live = LiveConverter(engine, engine.voice(20.0))
    head = live.push(samples[:4000])
    live.update(depth=0.0)
    out = np.concatenate([head, live.push(samples[4000:]), live.flush()])
    settled = len(head) + 400
    np.testing.assert_allclose(out[settled:], samples[settled:], atol=1e-6)
    with pytest.raises(SettingsError, match="block"):
        live.update(block=0.5)
    with pytest.raises(SettingsError, match="unknown setting 'depht'"):
        live.update(depht=1.0)


def test_passthrough_geometry_follows_its_settings() -> None:
    engine = PassthroughEngine(1000)
    chosen = PassthroughSettings(block=0.1, lookahead=0.05, crossfade=0.02, search=0.01, join="sola")
    assert engine.geometry(chosen, engine.default_voice()) == Geometry(0, 100, 50, 20, 10, "sola")
