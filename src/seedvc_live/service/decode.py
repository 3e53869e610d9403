"""Uploaded clips, which are hostile until shown otherwise: decoded and judged in a process of their own."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import tempfile
import weakref
from pathlib import Path
from typing import BinaryIO

from seedvc_live.errors import ClipRejectedError, MediaError
from seedvc_live.service.child import run_module
from seedvc_live.service.voices import VoiceRecord, VoiceStore

TIMEOUT = 40.0
"""Seconds of wall clock for one clip, start of the process included."""

AT_ONCE = 2

_slots: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = weakref.WeakKeyDictionary()


async def decode_clip(clip: Path, folder: Path | None = None) -> Path:
    """Decode a clip of unknown origin in a process with limits on memory, CPU, files and time.

    At most `AT_ONCE` run at a time, at low priority. The parent never looks at the bytes.

    Args:
        clip: any file up to 20 MB; its content decides what it is.
        folder: where the result is put; None: the system's folder for temporary files.

    Returns:
        A new FLAC file, mono, at the clip's own rate, of what is used of it (the first 30 s). The caller
        removes it.

    Raises:
        ClipRejectedError: not fit; its slug says why.
        MediaError: the clip cannot be read, or this installation lacks a decoder.
    """
    work = Path(tempfile.mkdtemp(prefix=".seedvc-live-clip-", dir=folder))
    try:
        partial = work / "clip.flac"
        await _decode(clip, partial)
        target = work.with_suffix(".flac")
        partial.rename(target)
        return target
    finally:
        shutil.rmtree(work, ignore_errors=True)


async def _decode(clip: Path, target: Path) -> None:
    loop = asyncio.get_running_loop()
    slot = _slots.setdefault(loop, asyncio.Semaphore(AT_ONCE))
    async with slot:
        with _opened(clip) as file:
            result = await run_module("seedvc_live.service.decode_process", [target], stdin=file, seconds=TIMEOUT)
    if result is None:
        raise ClipRejectedError("not-audio", "the clip cannot be decoded within the limits that a clip has")
    if "rejected" in result:
        raise ClipRejectedError(str(result["rejected"]), str(result["message"]))
    if "ok" not in result:
        raise MediaError(str(result.get("failed")))


def _opened(clip: Path) -> BinaryIO:
    try:
        # Not to wait for ever at a pipe that nobody writes to.
        file = os.fdopen(os.open(clip, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    except OSError as error:
        raise MediaError(f"'{clip}': cannot read it ({error.strerror})") from None
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise MediaError(f"'{clip}' is not a regular file")
    return file


async def add_clip(store: VoiceStore, clip: Path, name: str | None = None) -> VoiceRecord:
    """Decode a clip of unknown origin and store it as a voice.

    Raises:
        ClipRejectedError, MediaError: see `decode_clip`; nothing is stored then.
    """
    decoded = await decode_clip(clip)
    try:
        # Copied and flushed to the disk: too long for the event loop.
        return await asyncio.to_thread(store.add, decoded, name)
    finally:
        decoded.unlink(missing_ok=True)
