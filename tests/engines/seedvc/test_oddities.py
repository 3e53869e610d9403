"""The original's oddities, by their numbers in the description of its real-time program.

Each test shows the oddity with `compat="upstream"`, and that the default does not have it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from seedvc_live.audio.sola import cos2_fade
from seedvc_live.engines.base import Window
from seedvc_live.engines.seedvc.compat import UpstreamStream
from seedvc_live.engines.seedvc.engine import SeedVCEngine
from seedvc_live.engines.seedvc.loader import load_networks
from seedvc_live.engines.seedvc.noise import Array, IndexedNoise
from seedvc_live.engines.seedvc.presets import PRESETS
from seedvc_live.engines.seedvc.settings import SeedVCSettings
from seedvc_live.engines.seedvc.sizes import StreamSizes, exact_sizes, upstream_sizes
from seedvc_live.errors import ModelFileError, SettingsError
from seedvc_live.live.converter import LiveConverter

from .test_engine import SHORT, engine_of, replace_settings, speechlike, voice_of

pytestmark = pytest.mark.torch
RATE, HOP = 22050, 256


def own(**values: Any) -> StreamSizes:
    return exact_sizes(SeedVCSettings(**values), rate=RATE, hop=HOP)


def upstream(**values: Any) -> StreamSizes:
    s = SeedVCSettings(**values)
    seconds = (s.block, s.crossfade, s.context, s.dit_context, s.lookahead)
    return upstream_sizes(*seconds, rate=RATE, model_rate=RATE, hop=HOP)


def compat_of(model: str) -> SeedVCEngine:
    return SeedVCEngine(engine_of(model).networks, compat="upstream")


def test_oddity_1_dropped_frames_are_rounded() -> None:
    """2.5 - 2.2 s are 15 frames; truncation gives 14."""
    assert upstream(context=2.5, dit_context=2.2).dropped == 14
    assert own(context=2.5, dit_context=2.2).dropped == 15


def test_oddity_2_a_long_crossfade_leaves_no_surplus() -> None:
    """Above 80 ms the window is sized by the crossfade as set, what is returned by the one used: time is squeezed."""
    for sizes, surplus in ((upstream(crossfade=0.5, block=1.0), 21), (own(crossfade=0.5, block=1.0), 0)):
        assert sizes.overlap == 4 * sizes.unit
        assert sizes.window == (sizes.head + sizes.returned + sizes.tail + surplus) * sizes.unit


def test_oddity_3_no_lookahead_returns_the_end() -> None:
    """A slice that ends at -0 is empty: upstream's arithmetic refuses."""
    with pytest.raises(SettingsError, match="lookahead"):
        upstream(lookahead=0)
    sizes = own(lookahead=0)
    assert sizes.right == 0
    assert sizes.out_length > sizes.block
    assert sizes.out_start + sizes.out_length <= sizes.mel_frames * HOP


@pytest.mark.parametrize("block", [0.02, 0.1, 0.18, 0.3, 1.0])
def test_oddity_4_the_mel_covers_the_chunk(block: float) -> None:
    """The number of mel frames is rounded down, and as many as there are content frames stretched over them."""
    sizes = own(block=block)
    seen = sizes.window - sizes.dropped * sizes.unit
    assert seen <= sizes.mel_frames * HOP < seen + HOP
    assert sizes.out_start + sizes.out_length + sizes.right == seen
    old = upstream(block=block)
    assert old.mel_frames * HOP <= old.window - old.dropped * old.unit < (old.mel_frames + 1) * HOP


def test_oddity_4_frames_stand_at_their_own_time() -> None:
    """A feature frame that differs from the others changes the mel frames of its own 20 ms."""
    engine, wave = engine_of("xlsr-tiny"), torch.zeros(1, 16000)
    taken = []

    class Spy(torch.nn.Module):
        def forward(self, x: Any, lengths: Any, f0: Any = None, index: Any = None) -> Any:
            taken.append((x.shape[1], index))
            return torch.zeros(1, int(lengths.max()), 1)

    for compat in ("none", "upstream"):
        spied = SeedVCEngine(replace(engine.networks, regulator=Spy()), compat=compat)  # type: ignore[arg-type]
        spied.content(wave[:, : spied.sizes(SHORT).window_16k], spied.sizes(SHORT), [SHORT], [])
    (frames, index), (_, stretched) = taken
    assert stretched is None
    assert index.tolist() == [min(frames - 1, int(i * HOP / RATE * 50 + 1e-9)) for i in range(len(index))]


def test_oddity_5_halves_are_rounded_up() -> None:
    """Half to even makes 0.25 s into 0.24 s, and 0.05 s into 0.04 s."""
    old, new = upstream(block=0.25, crossfade=0.05), own(block=0.25, crossfade=0.05)
    assert (old.block, old.crossfade) == (12 * 441, 2 * 441)
    assert (new.block, new.overlap) == (13 * 441, 3 * 441)


def test_oddity_6_rates_that_are_no_multiple_of_50(tmp_path: Any) -> None:
    """20 ms are cut to whole samples, so the two buffers drift apart; a model of such a rate is refused."""
    sizes = upstream_sizes(0.18, 0.04, 2.5, 0.5, 0.02, rate=11025, model_rate=RATE, hop=HOP)
    assert abs(sizes.window_16k - sizes.window * 16000 / 11025) > 50
    aligned = own()
    assert aligned.window_16k == round(aligned.window * 16000 / RATE)

    preset = PRESETS["xlsr-tiny"]
    odd = replace(preset, config=replace(preset.config, mel=replace(preset.config.mel, rate=22040)))
    from seedvc_live.engines.seedvc.hub import ModelStore

    with pytest.raises(ModelFileError, match="multiple of 50"):
        load_networks(odd, ModelStore(tmp_path))


class Recorder(IndexedNoise):
    """Keeps what was drawn."""

    def __init__(self) -> None:
        self.drawn: list[tuple[int, Array]] = []

    def mel(self, seed: int, first: int, frames: int, bins: int) -> Array:
        noise = super().mel(seed, first, frames, bins)
        self.drawn.append((first, noise))
        return noise


def test_oddity_7_overlapping_windows_draw_the_same_noise() -> None:
    """Upstream draws anew for each chunk, so that overlaps disagree; here the instant decides."""
    noise = Recorder()
    engine = SeedVCEngine(engine_of("xlsr-tiny").networks, noise=noise)
    voice, source = voice_of("xlsr-tiny", 3.5), speechlike(2.0, RATE, 2).samples
    size, block = engine.geometry(SHORT, voice).window, engine.geometry(SHORT, voice).block
    for start in (0, block):
        engine.convert([Window(start, source[start : start + size], voice, SHORT, seed=5)])
    (first, early), (later, late) = noise.drawn
    shift = later - first
    assert abs(shift - block / HOP) <= 1
    np.testing.assert_array_equal(early[:, shift:], late[:, : early.shape[1] - shift])
    assert not np.array_equal(early, late)


def test_oddity_8_the_singing_model_hears_its_pitch_in_streams() -> None:
    """Upstream gives no pitch in real time: shifting it changes nothing there."""
    voice = voice_of("singing-44k", 3.5)
    size = engine_of("singing-44k").geometry(SHORT, voice).window
    shifted = replace_settings(SHORT, pitch_shift=7)

    def differ(engine: SeedVCEngine) -> bool:
        needed = engine.geometry(SHORT, voice).window
        source = speechlike(2.0, 44100, 2).samples[: max(size, needed)]
        blocks = engine.convert([Window(0, source[:needed], voice, s) for s in (SHORT, shifted)])
        return not np.array_equal(blocks[0].samples, blocks[1].samples)

    assert differ(engine_of("singing-44k"))
    assert not differ(compat_of("singing-44k"))


def test_oddities_of_the_start_silence_in_front_and_a_fade() -> None:
    """The first block of the original fades in over the crossfade; here it is converted as it is."""
    engine, compat = engine_of("xlsr-tiny"), compat_of("xlsr-tiny")
    voice, source = voice_of("xlsr-tiny", 3.5), speechlike(2.0, RATE, 2).samples
    stream = UpstreamStream(compat, voice, SHORT)
    first = stream.push(source[: stream.geometry.block])
    np.testing.assert_array_equal(stream.buffer[: -stream.geometry.block], 0)  # it starts from silence
    overlap, offset = stream.geometry.crossfade, stream.joiner.last_offset
    placed = stream.last_converted[offset : offset + overlap]
    np.testing.assert_allclose(first[:overlap], placed * cos2_fade(overlap), atol=1e-6)
    assert first[0] == 0

    live = LiveConverter(engine, voice, SHORT)
    out = live.push(source)
    window = np.concatenate([np.zeros(live.geometry.left_context, np.float32), source])[: live.geometry.window]
    alone = engine.convert([Window(0, window, voice, SHORT)])[0].samples
    np.testing.assert_array_equal(out[: live.geometry.block], alone[: live.geometry.block])
