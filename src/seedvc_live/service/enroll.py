"""Enrolling a stored voice: in a low-priority process, once, whoever asks and however many at a time."""

from __future__ import annotations

import asyncio
import json
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seedvc_live.errors import EngineError, VoiceError
from seedvc_live.service.child import run_module
from seedvc_live.service.voices import VoiceStore

TIMEOUT = 120.0
"""Seconds of wall clock for one voice. Half a second is usual for nano; seed-vc loads gigabytes."""


class _Runs:
    """What is being enrolled in one event loop."""

    def __init__(self) -> None:
        self.one_at_a_time = asyncio.Lock()
        self.tasks: dict[tuple[str, ...], asyncio.Task[str]] = {}


_runs: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Runs] = weakref.WeakKeyDictionary()


async def enroll(
    store: VoiceStore, id: str, engine: str, weights: str | None = None, options: Mapping[str, Any] | None = None
) -> Path:
    """The file of tensors that `engine` derives from a voice, made now if it is not there.

    Runs at nice 10 with one thread, one at a time; callers who ask for the same voice share a run, which
    goes on when one of them is cancelled.

    Args:
        weights: hash of the engine's weights, if known: then a voice that is enrolled costs no process.
        options: of the engine's constructor.

    Raises:
        VoiceNotFoundError: there is no such voice.
        VoiceError: the clip is not fit for this engine.
        EngineError: the engine cannot be loaded, or crashed.
    """
    store.get(id)
    if weights is not None and (there := store.tensors(id, engine, weights)) is not None:
        return there
    runs = _runs.setdefault(asyncio.get_running_loop(), _Runs())
    arguments = (str(store.folder), id, engine, json.dumps(dict(options or {}), sort_keys=True))
    task = runs.tasks.get(arguments)
    if task is None:
        task = asyncio.create_task(_run(runs, arguments))
        runs.tasks[arguments] = task
        task.add_done_callback(lambda done: _finished(runs, arguments, done))
    made_with = await asyncio.shield(task)
    path = store.tensors(id, engine, made_with)
    if path is None:
        store.get(id)  # says that it was removed meanwhile
        raise VoiceError(f"voice '{id}' could not be kept")
    return path


async def _run(runs: _Runs, arguments: tuple[str, ...]) -> str:
    async with runs.one_at_a_time:
        result = await run_module("seedvc_live.service.enroll_process", arguments, seconds=TIMEOUT)
    _, id, engine, _ = arguments
    if result is None:
        raise EngineError(f"engine '{engine}' crashed, or took too long, while it enrolled voice '{id}'")
    if "unfit" in result:
        raise VoiceError(str(result["unfit"]))
    if "failed" in result:
        raise EngineError(str(result["failed"]))
    return str(result["weights"])


def _finished(runs: _Runs, arguments: tuple[str, ...], task: asyncio.Task[str]) -> None:
    runs.tasks.pop(arguments, None)
    if not task.cancelled():
        task.exception()  # every caller may be gone: then nobody else fetches it
