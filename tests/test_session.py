"""LiveSession: control while it runs, and several sessions on one engine thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from seedvc_live.engine_thread import EngineThread, block_seconds, reserve_for
from seedvc_live.engines.base import Geometry, Voice
from seedvc_live.errors import FixedSettingError, SettingsError
from seedvc_live.offline import Conversion
from seedvc_live.report import Report
from seedvc_live.session import LiveSession
from tests.tools.ends import ArraySource, ListSink
from tests.tools.engines import ModulatorEngine, ModulatorSettings

RATE = 8000
BLOCK = 800
SETTINGS = ModulatorSettings(block=BLOCK / RATE, depth=1.0)


def make_engine() -> ModulatorEngine:
    return ModulatorEngine(Geometry(left_context=160, block=BLOCK, lookahead=160), RATE)


def make_session(
    engine: ModulatorEngine,
    source: np.ndarray,
    hertz: float = 5.0,
    engine_thread: EngineThread | None = None,
    **options,
) -> tuple[LiveSession, ListSink]:
    sink = ListSink(RATE)
    session = LiveSession(
        Conversion(engine, engine.voice(hertz), SETTINGS),
        ArraySource(source, RATE),
        sink,
        Report("modulator", "array", None, "list"),
        # Deep enough for a busy machine: what is tested is the sound, not the delay.
        playout=0.4,
        reserve=0.1,
        engine_thread=engine_thread,
        **options,
    )
    return session, sink


def run_all(*sessions: LiveSession, during: Callable[[], None] = lambda: None) -> list[BaseException | None]:
    """Run sessions side by side; what each raised."""
    raised: list[BaseException | None] = [None] * len(sessions)

    def run(number: int) -> None:
        try:
            sessions[number].run()
        except BaseException as error:
            raised[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(sessions))]
    for thread in threads:
        thread.start()
    during()
    for thread in threads:
        thread.join()
    return raised


def tone(seconds: float, hertz: float = 50.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def test_voice_settings_and_bypass_change_while_it_runs_without_click_or_gap() -> None:
    engine, source = make_engine(), tone(2.4)
    session, sink = make_session(engine, source)
    snapshots = []

    def control() -> None:
        sink.begun.wait(10)
        for change in ({"voice": engine.voice(9.0)}, {"settings": {"depth": 0.25}}, {"bypass": True}):
            target = session.update(**change)
            snapshots.append(session.snapshot())
            time.sleep(0.45)
        assert target.bypass

    assert run_all(session, during=control) == [None]
    out = sink.samples
    assert len(out) == len(source)
    assert sink.skipped == 0
    assert session.snapshot().concealed == 0
    assert [shot.bypass for shot in snapshots] == [False, False, True]
    assert [shot.settings.depth for shot in snapshots] == [1.0, 0.25, 0.25]
    assert float(snapshots[0].voice.tensors["hertz"][0]) == 9.0
    # In the beginning the first voice, at the end the source itself, and in between never a jump.
    assert np.allclose(out[:BLOCK], engine.offline(source, 5.0, 1.0)[:BLOCK], atol=1e-5)
    assert np.array_equal(out[-BLOCK:], source[-BLOCK:])
    assert not np.allclose(out, engine.offline(source, 5.0, 1.0), atol=0.1)
    steepest = np.max(np.abs(np.diff(source)))
    assert np.max(np.abs(np.diff(out))) < 1.6 * steepest


def test_a_change_that_is_not_allowed_changes_nothing() -> None:
    engine = make_engine()
    session, _ = make_session(engine, tone(0.1))
    before = session.stream.chain.target
    with pytest.raises(FixedSettingError, match="'block' cannot change") as fixed:
        session.update(bypass=True, settings={"block": 0.5})
    assert fixed.value.field == "block"
    with pytest.raises(SettingsError, match="unknown setting 'depht'"):
        session.update(voice=engine.voice(3.0), settings={"depht": 0.5})
    with pytest.raises(SettingsError, match="engine 'other'"):
        session.update(voice=Voice("other", "x", {}))
    with pytest.raises(SettingsError, match="other weights"):
        session.update(voice=Voice("modulator", "x", {}))
    assert session.stream.chain.target == before


def test_sessions_share_an_engine_thread_and_never_hear_each_other() -> None:
    engine, thread = make_engine(), EngineThread()
    sources = [tone(1.0, 40.0 + 20.0 * number) for number in range(4)]
    made = [make_session(engine, source, 3.0 + number, thread) for number, source in enumerate(sources)]
    assert run_all(*(session for session, _ in made)) == [None] * 4
    assert threading.active_count() >= 2, "the shared thread outlives its sessions"
    thread.close()
    for number, (session, sink) in enumerate(made):
        assert np.allclose(sink.samples, engine.offline(sources[number], 3.0 + number, 1.0), atol=1e-5)
        timings = session.take_timings()
        assert len(timings) == session.snapshot().blocks == 10
        assert all(timing.wall >= timing.share > 0 for timing in timings)
        assert session.take_timings() == []
        # Levels of a tone of 0.5: -6 dB peak; modulated, not above that.
        assert session.snapshot().level_in.peak_db == pytest.approx(-6.0, abs=0.5)
        assert session.snapshot().level_out.peak_db < -5.9


class Broken(ModulatorEngine):
    """Fails for one voice only."""

    def _convert(self, window):
        if window.voice.tensors["hertz"][0] == 13.0:
            raise ArithmeticError("cannot do 13 Hz")
        return super()._convert(window)


def test_a_job_the_engine_fails_on_ends_its_own_session_only() -> None:
    engine = Broken(Geometry(left_context=0, block=BLOCK, lookahead=0), RATE)
    thread, source = EngineThread(), tone(1.2)
    good, sink = make_session(engine, source, 3.0, thread)
    bad, bad_sink = make_session(engine, source, 13.0, thread)
    other, other_sink = make_session(engine, source, 4.0, thread)
    raised = run_all(good, bad, other)
    thread.close()
    assert isinstance(raised[1], ArithmeticError)
    assert bad_sink.aborted or bad_sink.finished
    assert raised[0] is raised[2] is None
    assert np.allclose(sink.samples, engine.offline(source, 3.0, 1.0), atol=1e-5)
    assert np.allclose(other_sink.samples, engine.offline(source, 4.0, 1.0), atol=1e-5)


def test_cancel_ends_at_once_and_stop_plays_the_tail() -> None:
    source = tone(30.0)
    ends = {}
    for how in ("cancel", "stop"):
        session, sink = make_session(make_engine(), source)

        def control(session=session, sink=sink, how=how) -> None:
            assert sink.begun.wait(10)
            getattr(session, how)()

        assert run_all(session, during=control) == [None]
        ends[how] = sink
        if how == "stop":
            assert len(sink.samples) == session.stream.stats.received
    assert ends["cancel"].aborted
    assert not ends["cancel"].finished
    assert ends["stop"].finished


def test_a_hiccup_while_measuring_is_not_paid_for_with_delay() -> None:
    assert reserve_for([0.02] * 19 + [0.5]) == pytest.approx(0.03)
    assert reserve_for([0.02] * 17 + [0.04] * 3) == pytest.approx(0.06)
    assert reserve_for([0.0001] * 20) == 0.005


def test_a_block_is_measured_with_its_own_geometry() -> None:
    engine = make_engine()
    measured = block_seconds(engine, engine.voice(5.0), SETTINGS)
    assert len(measured) == 20
    assert min(measured) > 0
