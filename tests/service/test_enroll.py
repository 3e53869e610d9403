"""Enrolment in a process of its own: once for everybody, cached, at low priority, and never half."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import pytest

from seedvc_live.audio.pcm import Pcm
from seedvc_live.engines.base import Voice
from seedvc_live.engines.registry import load_engine
from seedvc_live.errors import EngineError, VoiceError, VoiceNotFoundError
from seedvc_live.media.load import save_audio
from seedvc_live.service import child
from seedvc_live.service.enroll import enroll
from seedvc_live.service.voices import VoiceRecord, VoiceStore

with as_file(files("seedvc_live") / "data" / "reference.flac") as _path:
    REFERENCE = _path


@pytest.fixture
def store(tmp_path: Path) -> VoiceStore:
    return VoiceStore(tmp_path / "voices")


@pytest.fixture
def record(store: VoiceStore) -> VoiceRecord:
    return store.add(REFERENCE)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The process ids of the processes that were started."""
    found: list[int] = []
    real = asyncio.create_subprocess_exec

    async def spy(*command: str, **options: object) -> asyncio.subprocess.Process:
        process = await real(*command, **options)  # type: ignore[arg-type]
        found.append(process.pid)
        return process

    monkeypatch.setattr(child.asyncio, "create_subprocess_exec", spy)
    return found


def _derived(path: Path) -> Voice:
    """The reference as a process with BLAS on one thread, like the one that enrolls, derives it.

    With more threads sums differ in their last bit, and the content encoder, which rounds to 8 bits, makes more of it.
    """
    derive = (
        "import sys; from pathlib import Path; from seedvc_live import load_audio, load_engine; "
        "load_engine('nano').enroll(load_audio(Path(sys.argv[1]))).save(Path(sys.argv[2]))"
    )
    command = [sys.executable, "-c", derive, str(REFERENCE), str(path)]
    subprocess.run(command, check=True, env=child.environment())
    return Voice.load(path)


def test_it_is_what_the_engine_itself_derives(
    store: VoiceStore, record: VoiceRecord, started: list[int], tmp_path: Path
) -> None:
    path = asyncio.run(enroll(store, record.id, "nano"))
    with contextlib.closing(load_engine("nano")) as engine:
        want = _derived(tmp_path / "want.safetensors")
        got = Voice.load(path)
        assert (got.engine, got.weights) == ("nano", engine.weights_hash)
        assert path == store.tensors(record.id, "nano", engine.weights_hash)
        assert got.tensors.keys() == want.tensors.keys()
        for name, array in want.tensors.items():
            np.testing.assert_allclose(got.tensors[name], array, atol=1e-5, rtol=1e-5)
        # With the hash known, it costs no process.
        assert asyncio.run(enroll(store, record.id, "nano", engine.weights_hash)) == path
        assert len(started) == 1


def test_callers_at_once_share_one_run_and_voices_take_turns(store: VoiceStore, started: list[int]) -> None:
    first, second = store.add(REFERENCE), store.add(REFERENCE)
    at_once: list[int] = []

    def running() -> int:
        return sum(Path(f"/proc/{pid}").exists() for pid in started)

    async def run() -> list[Path]:
        async def watch() -> None:
            while True:
                at_once.append(running())
                await asyncio.sleep(0.02)

        watcher = asyncio.create_task(watch())
        ids = [first.id, second.id] * 3
        done = await asyncio.gather(*(enroll(store, id, "passthrough") for id in ids))
        watcher.cancel()
        return done

    paths = asyncio.run(run())
    assert len(set(paths)) == 2
    assert len(started) == 2
    assert max(at_once) == 1


def test_the_run_outlives_a_caller_who_leaves(store: VoiceStore, record: VoiceRecord, started: list[int]) -> None:
    async def run() -> Path:
        leaving = asyncio.create_task(enroll(store, record.id, "passthrough"))
        staying = asyncio.create_task(enroll(store, record.id, "passthrough"))
        await asyncio.sleep(0.1)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        return await staying

    assert asyncio.run(run()).is_file()
    assert len(started) == 1


def test_low_priority_one_thread_and_no_secrets(
    store: VoiceStore, record: VoiceRecord, started: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEEDVC_LIVE_TOKEN", "token")
    seen: list[int] = []

    def observe() -> None:
        with contextlib.suppress(OSError, IndexError):
            environment = Path(f"/proc/{started[0]}/environ").read_bytes()
            seen.append(os.getpriority(os.PRIO_PROCESS, started[0]))
            if b"PATH=" in environment:  # before exec it is this process's own
                assert b"SEEDVC_LIVE_TOKEN" not in environment
                assert b"OMP_NUM_THREADS=1\0" in environment

    async def run() -> None:
        task = asyncio.create_task(enroll(store, record.id, "nano"))
        for _ in range(1000):
            observe()
            if task.done():
                break
            await asyncio.sleep(0.01)
        await task

    here = os.getpriority(os.PRIO_PROCESS, 0)
    asyncio.run(run())
    assert max(seen) == min(19, here + 10)


@pytest.fixture
def silent(store: VoiceStore, tmp_path: Path) -> VoiceRecord:
    save_audio(tmp_path / "silence.flac", Pcm(np.zeros(32000, np.float32), 16000))
    return store.add(tmp_path / "silence.flac")


def test_what_fails_says_so_and_leaves_nothing(store: VoiceStore, record: VoiceRecord, silent: VoiceRecord) -> None:
    with pytest.raises(VoiceNotFoundError):
        asyncio.run(enroll(store, "a" * 16, "nano"))
    with pytest.raises(VoiceError, match="silent"):
        asyncio.run(enroll(store, silent.id, "nano"))
    with pytest.raises(EngineError, match="unknown engine"):
        asyncio.run(enroll(store, record.id, "other"))
    # A failure is not cached: the next call tries again.
    assert asyncio.run(enroll(store, record.id, "passthrough")).is_file()
    assert not [name for name in os.listdir(store.folder) if name.startswith(".")]


def test_a_voice_removed_meanwhile_is_unknown(store: VoiceStore, record: VoiceRecord) -> None:
    async def run() -> None:
        task = asyncio.create_task(enroll(store, record.id, "nano"))
        await asyncio.sleep(0.05)
        store.remove(record.id)
        await task

    with pytest.raises(VoiceError, match="no voice"):
        asyncio.run(run())
    assert list(store.folder.iterdir()) == []


def test_a_crash_is_an_error_not_a_hang(store: VoiceStore, record: VoiceRecord, started: list[int]) -> None:
    async def run() -> None:
        task = asyncio.create_task(enroll(store, record.id, "nano"))
        for _ in range(1000):
            if started:
                break
            await asyncio.sleep(0.01)
        os.kill(started[0], 11)
        await task

    with pytest.raises(EngineError, match="crashed"):
        asyncio.run(run())


@pytest.fixture(autouse=True)
def no_process_left() -> Iterator[None]:
    yield
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
