"""What a media worker does: it answers the control process's requests, and watches its sessions."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from seedvc_live import __version__
from seedvc_live.engine_thread import EngineThread
from seedvc_live.errors import (
    EngineError,
    FixedSettingError,
    NegotiationError,
    NoAddressError,
    SdpError,
    SeedVCLiveError,
    SettingsError,
    VoiceError,
)
from seedvc_live.live.chain import Target
from seedvc_live.media.candidates import parse_candidate
from seedvc_live.media.sdp import parse_offer
from seedvc_live.offline import Conversion
from seedvc_live.service.worker_channel import Channel, Message
from seedvc_live.service.worker_engines import Loaded, load_voice, pick
from seedvc_live.service.worker_session import SessionPolicy, WorkerSession

_LOG = logging.getLogger(__name__)

T = TypeVar("T")

_TICK = 0.25
_ADAPT = 1.0
_MAX_LOAD = 0.8
_GRACE = 2.0


class FullError(SeedVCLiveError):
    """This worker takes no more sessions."""


class GoneError(SeedVCLiveError):
    """No such session."""


_KINDS: tuple[tuple[type[Exception], str], ...] = (
    (FixedSettingError, "per-session"),
    (SettingsError, "settings"),
    (SdpError, "bad-sdp"),
    (NoAddressError, "no-address"),
    (NegotiationError, "bad-sdp"),
    (VoiceError, "voice"),
    (EngineError, "engine"),
    (FullError, "full"),
    (GoneError, "gone"),
)


class Worker:
    """Answers the control process. All methods run in the event loop; what blocks runs in threads."""

    def __init__(self, channel: Channel, engines: dict[str, Loaded], capacity: int) -> None:
        self._channel = channel
        self._engines = engines
        self._capacity = capacity
        self._sessions: dict[str, WorkerSession] = {}
        self._expected: dict[str, float] = {}  # load of each session, until it is measured
        self._levels: dict[str, int] = {}
        self._connected: set[str] = set()
        self._first_heard: set[str] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._draining = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._endings: set[asyncio.Task[None]] = set()
        self._engine_thread = EngineThread()
        # Negotiating and ending block; sessions may do so all at once.
        self._threads = ThreadPoolExecutor(2 * capacity + 4, thread_name_prefix="work")
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Serve until the control process closes the line, or `stop`."""
        ticking = asyncio.create_task(self._tick())
        listening = asyncio.create_task(self._listen())
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait([listening, stopping], return_when=asyncio.FIRST_COMPLETED)
        for session_id in list(self._sessions):
            self._end(session_id, "shutdown", "the server is ending")
        if self._endings:
            await asyncio.wait(self._endings, timeout=_GRACE)
        for task in (ticking, listening, stopping, *self._tasks):
            task.cancel()
        await self._channel.close()

    def stop(self) -> None:
        """End all sessions and return from `run`."""
        self._stopping.set()

    # -- requests ----------------------------------------------------------------------------------

    async def _listen(self) -> None:
        async for message in self._channel.requests():
            # Each in a task of its own: a slow one holds up nobody.
            task = asyncio.create_task(self._answer(message))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _answer(self, message: Message) -> None:
        number, op = message.pop("id", None), message.pop("op")
        operations: dict[str, Callable[..., Coroutine[Any, Any, Message]]] = {
            "hello": self._hello,
            "create": self._create,
            "candidate": self._candidate,
            "update": self._update,
            "close": self._close,
            "stats": self._stats,
            "drain": self._drain,
            "ping": self._ping,
        }
        try:
            if op not in operations:
                raise SettingsError("op", f"unknown operation '{op[:40]}'")
            reply = {"id": number, "ok": await operations[op](**message)}
        except Exception as error:
            reply = {"id": number, "error": _described(error)}
        self._channel.send(reply)

    async def _hello(self) -> Message:
        return {
            "pid": os.getpid(),
            "version": __version__,
            "engines": {name: loaded.describe() for name, loaded in self._engines.items()},
            "capacity": self._capacity,
        }

    async def _create(
        self,
        session: str,
        sdp: str,
        engine: str,
        voice_file: str | None = None,
        settings: dict[str, Any] | None = None,
        bypass: bool = False,
        ice: dict[str, list[str]] | None = None,
        policy: dict[str, Any] | None = None,
    ) -> Message:
        if session in self._levels:
            raise SettingsError("session", "there is a session of that name already")
        loaded = pick(self._engines, engine)
        offer = parse_offer(sdp)
        wanted = loaded.engine.settings_type.parse(settings or {})
        session_policy = SessionPolicy.parse(policy or {})
        peer_policy = session_policy.for_peer((ice or {}).get("stun", []), (ice or {}).get("turn", []))
        level = self._admit(session, loaded.load_of(wanted))
        made: WorkerSession | None = None
        try:
            voice = await self._in_thread(load_voice, loaded.engine, voice_file)
            loop = asyncio.get_running_loop()
            # A session that came later yields to those before it (theirs are the earlier deadlines), so it
            # needs time for their blocks too.
            reserve = loaded.reserve_for(wanted) + level * loaded.usual_for(wanted)

            def changed() -> None:
                with contextlib.suppress(RuntimeError):  # the loop has ended
                    loop.call_soon_threadsafe(self._changed, session)

            make = functools.partial(
                WorkerSession,
                session,
                offer,
                Conversion(loaded.engine, voice, wanted),
                session_policy,
                peer_policy,
                bypass=bypass,
                reserve=reserve,
                engine_thread=self._engine_thread,
                on_change=changed,
            )
            new = made = await self._in_thread(make)
            self._sessions[session] = new
            self._timers[session] = loop.call_later(session_policy.negotiation_timeout, self._deadline, session)
            try:
                answer = await self._in_thread(new.negotiate)
            finally:
                if self._sessions.get(session) is not new:
                    raise GoneError("the session was closed while it was negotiated")
        except BaseException:
            if made is None:
                self._forget(session)
            else:
                self._end(session, "failed", "")
            raise
        self._changed(session)
        return {"sdp": answer, "delay": new.delay, "settings": wanted.model_dump()}

    async def _candidate(self, session: str, candidate: str, mline: int | None = None) -> Message:
        found = self._find(session)
        # All media share one transport, so whichever m-line it is named for, it is the same address. An
        # empty one says that there will be no more.
        if candidate:
            found.peer.add_candidate(parse_candidate(candidate))
        return {}

    async def _update(
        self,
        session: str,
        voice_file: str | None = None,
        settings: dict[str, Any] | None = None,
        bypass: bool | None = None,
    ) -> Message:
        found = self._find(session)

        def change() -> Target:
            voice = None if voice_file is None else load_voice(found.live.engine, voice_file)
            return found.live.update(voice=voice, settings=settings, bypass=bypass)

        target = await self._in_thread(change)
        return {"settings": target.settings.model_dump(), "bypass": target.bypass}

    async def _close(self, session: str) -> Message:
        self._find(session)
        self._end(session, "client", "")
        return {}

    async def _stats(self, session: str) -> Message:
        return self._find(session).stats()

    async def _drain(self) -> Message:
        self._draining = True
        return {"sessions": len(self._levels)}

    async def _ping(self) -> Message:
        return {
            "sessions": len(self._levels),
            "connected": len(self._connected),
            "ending": len(self._endings),
            "load": round(self._load(), 3),
            "busy_seconds": round(self._engine_thread.busy_seconds, 3),
        }

    # -- sessions ----------------------------------------------------------------------------------

    def _find(self, session: str) -> WorkerSession:
        found = self._sessions.get(session)
        if found is None:
            raise GoneError(f"no session '{str(session)[:40]}'")
        return found

    def _load(self) -> float:
        """Share of the engine thread's time that the sessions need: measured, or expected where it is not."""
        total = 0.0
        for session_id, expected in self._expected.items():
            session = self._sessions.get(session_id)
            measured = session.load if session is not None else None
            total += expected if measured is None else measured
        return total

    def _admit(self, session: str, expected: float) -> int:
        """Take a place for the session; return its level, the number of those that go before it.

        Raises:
            FullError: there is no place, or not enough time to compute.
        """
        if self._draining:
            raise FullError("this worker takes no new sessions")
        if len(self._levels) >= self._capacity:
            raise FullError(f"all {self._capacity} places are taken")
        load = self._load()
        if self._levels and load + expected > _MAX_LOAD:
            raise FullError(f"no time to compute for another session (load {load:.2f})")
        level = next(number for number in range(self._capacity) if number not in self._levels.values())
        self._levels[session] = level
        self._expected[session] = expected
        return level

    def _forget(self, session: str) -> None:
        self._levels.pop(session, None)
        self._expected.pop(session, None)
        self._connected.discard(session)
        self._first_heard.discard(session)
        if session in self._timers:
            self._timers.pop(session).cancel()

    def _end(self, session: str, reason: str, message: str) -> None:
        """Free the session's place now, and the rest in a thread."""
        ended = self._sessions.pop(session, None)
        if ended is None:
            return
        self._forget(session)
        self._channel.send(
            {"event": "state", "session": session, "state": "closed", "reason": reason, "message": message}
        )
        task = asyncio.create_task(self._in_thread(ended.close))
        self._endings.add(task)
        task.add_done_callback(self._endings.discard)

    def _deadline(self, session: str) -> None:
        if session not in self._connected:
            self._end(session, "deadline", "no connection in time")

    def _changed(self, session: str) -> None:
        """The peer's state may have changed, or the conversion ended."""
        found = self._sessions.get(session)
        if found is None:
            return
        if found.failure is not None:
            self._end(session, "failed", _described(found.failure)["message"])
        elif found.peer.state == "failed":
            self._end(session, "failed", "the connection failed")
        elif found.peer.state == "closed":
            self._end(session, "peer", "the other side ended the connection")
        elif found.peer.state == "connected" and session not in self._connected:
            self._connected.add(session)
            self._channel.send(
                {"event": "state", "session": session, "state": "connected", "reason": None, "message": ""}
            )

    async def _tick(self) -> None:
        """Report, adapt, and end what no media reaches."""
        adapt = 0.0
        while True:
            await asyncio.sleep(_TICK)
            now = time.monotonic()
            adapting, adapt = (True, now + _ADAPT) if now >= adapt else (False, adapt)
            for session in list(self._connected):
                try:
                    self._watch(session, now, adapting)
                except Exception:
                    _LOG.exception("session %s could not be watched", session[:8])

    def _watch(self, session: str, now: float, adapting: bool) -> None:
        found = self._sessions[session]
        if found.silent_for(now) > found.policy.media_timeout:
            self._end(session, "media-timeout", f"no media for {found.policy.media_timeout:.0f} s")
            return
        if adapting:
            found.peer.adapt()
        if session not in self._first_heard and found.live.first_output is not None:
            self._first_heard.add(session)
            seconds = round(found.live.first_output - found.begin, 3)
            self._channel.send({"event": "first-audio", "session": session, "seconds": seconds})
        self._channel.send({"event": "stats", **found.stats()}, droppable=True)

    async def _in_thread(self, function: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)


def _described(error: BaseException) -> dict[str, str]:
    """An exception for the control process."""
    for kind, name in _KINDS:
        if isinstance(error, kind):
            described = {"kind": name, "message": " ".join(str(error).split())}
            if isinstance(error, SettingsError):
                described["field"] = error.field
                if error.field == "voice" and name == "settings":
                    described["kind"] = "voice"
            return described
    if isinstance(error, TypeError):
        _LOG.warning("a request with wrong arguments: %s", error)
    else:
        _LOG.error("internal error", exc_info=error)
    return {"kind": "internal", "message": " ".join(f"{type(error).__name__}: {error}".split())[:300]}
