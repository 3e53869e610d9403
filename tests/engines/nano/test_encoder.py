"""The content encoder's stream: positions, levels, memory."""

from __future__ import annotations

from importlib.resources import as_file, files

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedvc_live import load_audio
from seedvc_live.engines.nano import analysis, encoder, grid, spectrum
from seedvc_live.engines.nano.networks import WEIGHTS, open_session


@pytest.fixture(scope="module")
def session():
    return open_session(WEIGHTS / "content.onnx")


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    with as_file(files("seedvc_live") / "data" / "source.flac") as path:
        return load_audio(path, rate=grid.ANALYSIS_RATE).samples[: 3 * grid.ANALYSIS_RATE]


@pytest.fixture(scope="module")
def mel(speech: np.ndarray) -> np.ndarray:
    count = (len(speech) - spectrum.FFT) // grid.ANALYSIS_HOP
    return spectrum.log_mel(spectrum.power_frames(speech, grid.ANALYSIS_HOP, spectrum.FFT, spectrum.FFT, 2, count))


def test_positions_have_no_end() -> None:
    early, late = encoder.positions(0, 50), encoder.positions(1_000_000, 50)
    assert early.shape == late.shape == (50, encoder.WIDTH)
    # Two steps lie as far apart wherever they are: what attention goes by.
    np.testing.assert_allclose(early @ early.T, late @ late.T, atol=1e-2)
    # Whisper's own, where they move.
    angle = 7 * np.exp(-np.log(10_000) / 191 * 20)
    assert early[7, 20] == pytest.approx(np.sin(angle), abs=1e-5)
    assert early[7, 212] == pytest.approx(np.cos(angle), abs=1e-5)


@given(st.lists(st.floats(-10, 4), min_size=2, max_size=60), st.integers(1, 59))
def test_peaks_do_not_depend_on_where_they_are_cut(values: list[float], cut: int) -> None:
    frames = np.asarray(values)[:, None] + np.array([-3.0, 0.0, -1.0])
    cut = min(cut, len(frames) - 1)
    whole = encoder.peaks(frames)
    first = encoder.peaks(frames[:cut])
    second = encoder.peaks(frames[cut:], first[-1])
    np.testing.assert_allclose(np.concatenate([first, second]), whole, atol=1e-9)
    assert (whole >= frames.max(1) - 1e-9).all()


def test_level_does_not_matter(mel: np.ndarray) -> None:
    loud, soft = (spectrum.normalised(m, encoder.peaks(m)[:, None]) for m in (mel, mel - 2))
    # But for what is raised no further.
    heard = encoder.peaks(mel) > 0
    np.testing.assert_allclose(loud[heard], soft[heard], atol=1e-3)


def test_hearing_in_two_goes_is_hearing_in_one(session, mel: np.ndarray) -> None:
    steps, ahead = 60, 2
    whole, last = encoder.hear_blocks(
        session, mel[: encoder.frames(steps + ahead)], encoder.Memory.empty(), steps, 4, ahead
    )
    first, memory = encoder.hear_blocks(
        session, mel[: encoder.frames(20 + ahead)], encoder.Memory.empty(), 20, 4, ahead
    )
    memory = encoder.Memory.unpack(memory.pack())
    second, memory = encoder.hear_blocks(session, mel[40 : 40 + encoder.frames(40 + ahead)], memory, 40, 4, ahead)
    np.testing.assert_array_equal(np.concatenate([first.content, second.content]), whole.content)
    np.testing.assert_array_equal(np.concatenate([first.gain, second.gain]), whole.gain)
    assert memory.step == last.step == steps
    assert memory.past.shape[2] == min(steps, encoder.REACH)
    np.testing.assert_array_equal(memory.past, last.past)


def test_memory_is_bounded(session, mel: np.ndarray) -> None:
    _, memory = encoder.hear_blocks(session, mel[: encoder.frames(102)], encoder.Memory.empty(), 100, 20, 2)
    assert memory.past.shape[2] == encoder.REACH < 100
    assert memory.past.nbytes < 500_000


def test_what_lies_beyond_the_lookahead_is_not_heard(session, mel: np.ndarray) -> None:
    other = mel.copy()
    other[encoder.frames(20 + 2) :] = 0
    one, two = (encoder.hear_blocks(session, m, encoder.Memory.empty(), 40, 20, 2)[0] for m in (mel, other))
    np.testing.assert_array_equal(one.content[:20], two.content[:20])
    assert np.abs(one.content[20:] - two.content[20:]).max() > 0.1


def test_frames_of_no_whole_steps_are_refused(session, mel: np.ndarray) -> None:
    with pytest.raises(ValueError, match="frames are not those of 4 steps"):
        encoder.hear(session, mel[: encoder.frames(4) + 1], encoder.Memory.empty(), 4)
    with pytest.raises(ValueError, match="or more"):
        encoder.hear(session, mel[: encoder.frames(3)], encoder.Memory.empty(), 4)


def test_windows_of_a_stream_hear_what_the_whole_signal_hears(session, speech: np.ndarray) -> None:
    """The stream's windows, each with its own spectra, against the one long signal."""
    layout, n = grid.Layout(), 8
    left, right = layout.context * grid.ANALYSIS_HOP, layout.lookahead * grid.ANALYSIS_HOP
    blocks = len(speech) // (n * grid.ANALYSIS_HOP) - 2
    padded = np.pad(speech, (left, right))
    memory, parts = encoder.Memory.empty(), []
    for index in range(blocks):
        start = index * n * grid.ANALYSIS_HOP
        window = padded[start : start + left + n * grid.ANALYSIS_HOP + right]
        part, memory = analysis.source(session, window, memory, 0, layout)
        parts.append(part)
    # The first window hears the silence before the signal too.
    padded = padded[(grid.FIRST_FRAME + encoder.BEFORE - 2) * grid.ANALYSIS_HOP :]
    ahead = analysis.ahead_of(layout)
    count = encoder.frames(25 + n // 2 * blocks + ahead)
    power = spectrum.power_frames(
        np.pad(padded, (encoder.BEFORE * grid.ANALYSIS_HOP, 4000)), grid.ANALYSIS_HOP, spectrum.FFT, spectrum.FFT,
        grid.FIRST_FRAME, count,
    )  # fmt: skip
    mel = spectrum.log_mel(power)
    first = (layout.context - grid.FIRST_FRAME - encoder.BEFORE + 2) // 2 + n // 2
    one, memory = encoder.hear_blocks(
        session, mel[: encoder.frames(first + ahead)], encoder.Memory.empty(), first, first, ahead
    )
    rest = n // 2 * (blocks - 1)
    two, _ = encoder.hear_blocks(session, mel[2 * first :][: encoder.frames(rest + ahead)], memory, rest, n // 2, ahead)
    whole = np.concatenate([one.content[-n // 2 :], two.content])
    streamed = np.concatenate([part.content for part in parts])
    assert streamed.shape == whole.shape
    # A rounding of eight bits may fall the other way.
    assert np.abs(streamed - whole).mean() < 0.02 * whole.std()
