"""Runs one of this package's modules as a process of its own, to its end, and reads its one line of JSON."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

_LOG = logging.getLogger(__name__)
_MAX_OUTPUT = 65536
_SECRETS = ("TOKEN", "SECRET", "PASSWORD", "CREDENTIAL")


async def run_module(
    module: str, arguments: Sequence[str | Path], *, seconds: float, stdin: BinaryIO | None = None
) -> dict[str, Any] | None:
    """Run `python -m module arguments…` without this process's secrets.

    Args:
        seconds: of wall clock, after which it is killed.
        stdin: an open file that becomes its standard input.

    Returns:
        What it printed; None when it crashed, was killed, or ran out of time. Nothing of it is left running
        then, nor when this coroutine is cancelled.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *map(str, arguments),
        stdin=stdin if stdin is not None else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(),
    )
    assert process.stdout is not None
    assert process.stderr is not None
    both = asyncio.gather(_read(process.stdout), _read(process.stderr))
    try:
        output, errors = await asyncio.wait_for(both, seconds)
        await asyncio.wait_for(process.wait(), seconds)
    except asyncio.TimeoutError:
        _LOG.warning("%s: killed after %.0f s", module, seconds)
        return None
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    if errors.strip():
        _LOG.info("%s: %s", module, errors.decode("utf-8", "replace").strip()[-2000:])
    if process.returncode == 0:
        with contextlib.suppress(ValueError):
            result = json.loads(output)
            if isinstance(result, dict):
                return result
    _LOG.warning("%s: ended with status %s and no result", module, process.returncode)
    return None


async def _read(stream: asyncio.StreamReader) -> bytes:
    """All of a stream up to a limit; what comes after it is thrown away, so that the writer never waits."""
    kept = b""
    while part := await stream.read(_MAX_OUTPUT):
        kept += part[: _MAX_OUTPUT - len(kept)]
    return kept


def environment() -> dict[str, str]:
    """This process's environment without secrets, and with one thread for each arithmetic library."""
    kept = {name: value for name, value in os.environ.items() if not any(word in name for word in _SECRETS)}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    # Two heaps: with one per thread and core, a limit on address space is reached by reservations alone.
    return {**kept, **threads, "MALLOC_ARENA_MAX": "2"}
