"""The sessions of all workers: opens, changes and closes them, and tells their listeners what happens."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from seedvc_live.service.config import ServeConfig
from seedvc_live.service.events import Listeners
from seedvc_live.service.handle import Event, WorkerError, WorkerHandle
from seedvc_live.service.log import record
from seedvc_live.service.metrics import Metrics
from seedvc_live.service.pool import WorkerPool
from seedvc_live.service.problems import ProblemError

_LOG = logging.getLogger(__name__)

CREATE_SECONDS = 20.0
MAX_CANDIDATES = 64
_RAW = frozenset({"event", "session", "block_seconds", "queue_ms"})
"""Members of a worker's statistics that are for the metrics, or known to whoever listens."""

_PROBLEM_OF = {
    "bad-sdp": "bad-sdp",
    "no-address": "no-address",
    "settings": "invalid-setting",
    "per-session": "per-session-setting",
    "voice": "bad-voice",
    "full": "full",
    "engine": "unknown-engine",
    "gone": "unknown-session",
    "timeout": "worker-timeout",
    "lost": "worker-lost",
}


@dataclass(eq=False)
class Session:
    """One conversation.

    Attributes:
        id: unguessable.
        worker: who runs it.
        stats: its latest statistics, as sent; {} before the first.
        lock: changes are made one after the other.
    """

    id: str
    worker: WorkerHandle
    engine: str
    voice: str | None
    settings: dict[str, Any]
    bypass: bool
    delay: dict[str, Any] = field(default_factory=dict)
    state: str = "negotiating"
    stats: dict[str, Any] = field(default_factory=dict)
    first_audio: float | None = None
    candidates: int = 0
    begin: float = field(default_factory=time.monotonic)
    listeners: Listeners = field(default_factory=Listeners)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def public_stats(self) -> dict[str, Any] | None:
        """The latest statistics without the raw lists."""
        return {key: value for key, value in self.stats.items() if key not in _RAW} or None

    def view(self) -> dict[str, Any]:
        """As `GET /api/sessions/{id}` shows it."""
        return {
            "id": self.id,
            "state": self.state,
            "engine": self.engine,
            "voice": self.voice,
            "settings": self.settings,
            "bypass": self.bypass,
            "delay": self.delay,
            "stats": self.public_stats(),
            "age_seconds": round(time.monotonic() - self.begin, 3),
            "time_to_first_audio": self.first_audio,
        }


@dataclass(frozen=True)
class Wish:
    """What a client asks for. `voice_file` holds the voice's tensors for the engine."""

    sdp: str
    engine: str
    voice: str | None
    voice_file: Path | None
    settings: dict[str, Any]
    bypass: bool


class Sessions:
    """All sessions. `pool` and `metrics` are set by whoever makes the three."""

    pool: WorkerPool
    metrics: Metrics

    def __init__(self, config: ServeConfig) -> None:
        self._config = config
        self._all: dict[str, Session] = {}

    def __len__(self) -> int:
        return len(self._all)

    def all(self) -> list[Session]:
        """Oldest first."""
        return list(self._all.values())

    def by_engine(self) -> dict[str, int]:
        """Number of running sessions of each engine, those with none included."""
        counts = dict.fromkeys(self._config.engines, 0)
        for session in self._all.values():
            counts[session.engine] = counts.get(session.engine, 0) + 1
        return counts

    def get(self, name: str) -> Session:
        """Raise:
        ProblemError: 404, there is none.
        """
        session = self._all.get(name)
        if session is None:
            raise ProblemError("unknown-session", "this session does not exist or has ended")
        return session

    async def open(self, wish: Wish) -> tuple[Session, str]:
        """Open a session on the worker with the fewest; the answer's SDP.

        Raises:
            ProblemError: no place, or the offer, a setting or the voice is not acceptable.
        """
        try:
            return await self._open(wish)
        except ProblemError as problem:
            self.metrics.refused.labels(problem.slug).inc()
            raise

    async def _open(self, wish: Wish) -> tuple[Session, str]:
        name = secrets.token_urlsafe(18)
        tried: set[WorkerHandle] = set()
        while True:
            worker = self.pool.choose(name, tried)
            if worker is None:
                if not tried and not self.pool.ready:
                    raise ProblemError("not-ready", "the media workers are starting")
                raise ProblemError("full", "all places are taken; try again later")
            session = Session(name, worker, wish.engine, wish.voice, wish.settings, wish.bypass)
            self._all[name] = session
            try:
                return session, await self._create(session, wish)
            except WorkerError as error:
                tried.add(worker)
                self._all.pop(name, None)
                if error.kind == "timeout":
                    await self._ask_to_close(session)
                self.pool.release(worker, name)
                if error.kind == "gone":
                    raise ProblemError("bad-sdp", "the session was not negotiated in time") from None
                if error.kind != "full":
                    _refuse(error)
            except BaseException:
                self._all.pop(name, None)
                await self._ask_to_close(session)
                self.pool.release(worker, name)
                raise

    async def _create(self, session: Session, wish: Wish) -> str:
        answer = await session.worker.request(
            "create",
            timeout=CREATE_SECONDS,
            session=session.id,
            sdp=wish.sdp,
            voice_file=str(wish.voice_file) if wish.voice_file else None,
            engine=wish.engine,
            settings=wish.settings,
            bypass=wish.bypass,
            ice=self._config.ice.for_worker(time.time()),
            policy=self._config.policy(),
        )
        session.settings = answer.get("settings", wish.settings)
        session.delay = answer.get("delay", {})
        self.metrics.started.labels(session.engine).inc()
        self.pool.started(session.worker)
        record(
            _LOG, "session opened", session=session.id[:6], engine=session.engine, worker=session.worker.number,
            delay_ms=session.delay.get("total_ms"), answer_seconds=round(time.monotonic() - session.begin, 3),
        )  # fmt: skip
        return str(answer["sdp"])

    async def update(
        self,
        session: Session,
        voice: tuple[str, Path | None] | None,
        settings: dict[str, Any] | None,
        bypass: bool | None,
    ) -> None:
        """Change a running session; `voice` is an id and the file with its tensors (None where the
        engine has no use for it).

        Raises:
            ProblemError: 409 for a setting of the whole session, 422 for a wrong one, 404 when it has just ended.
        """
        values: dict[str, Any] = {}
        if voice is not None and voice[1] is not None:
            values["voice_file"] = str(voice[1])
        if settings is not None:
            values["settings"] = settings
        if bypass is not None:
            values["bypass"] = bypass
        async with session.lock:
            answer = await self._ask(session, "update", **values)
            session.settings = answer.get("settings", session.settings)
            session.bypass = bool(answer.get("bypass", session.bypass))
            session.voice = voice[0] if voice is not None else session.voice

    async def candidate(self, session: Session, candidate: str, mline: int) -> None:
        """Pass an ICE candidate on.

        Raises:
            ProblemError: 429 for too many; the candidate is not acceptable.
        """
        session.candidates += 1
        if session.candidates > MAX_CANDIDATES:
            raise ProblemError("too-many", f"a session takes at most {MAX_CANDIDATES} candidates")
        await self._ask(session, "candidate", candidate=candidate, mline=mline)

    async def close(self, session: Session, reason: str = "client") -> None:
        """End a session; its place is free when this returns."""
        self._finish(session, reason, "")
        try:
            await self._ask_to_close(session)
        finally:
            self.pool.release(session.worker, session.id)

    async def close_all(self) -> None:
        """End all sessions, because the server ends."""
        await asyncio.gather(*(self.close(session, "shutdown") for session in self.all()))

    def on_event(self, worker: WorkerHandle, event: Event) -> None:
        """Take an event of a worker."""
        session = self._all.get(event.get("session", ""))
        if session is None or session.worker is not worker:
            return
        name = event["event"]
        if name == "stats":
            self.metrics.take(session.stats, event)
            session.stats = event
            session.delay = event.get("delay") or session.delay
            session.listeners.publish("stats", session.public_stats() or {})
        elif name == "first-audio":
            session.first_audio = float(event["seconds"])
            self.metrics.first_audio.observe(session.first_audio)
        elif name == "state" and event["state"] == "closed":
            self._finish(session, str(event.get("reason", "failed")), str(event.get("message", "")))
            self.pool.release(worker, session.id)
        elif name == "state":
            session.state = str(event["state"])
            session.listeners.publish("state", _state(session.state, str(event.get("reason") or ""), ""))

    def on_lost(self, worker: WorkerHandle, names: set[str]) -> None:
        """A worker has ended: so have its sessions."""
        for name in names:
            session = self._all.get(name)
            if session is not None:
                self._finish(session, "failed", "the media worker of this session ended")

    def _finish(self, session: Session, reason: str, message: str) -> None:
        if self._all.pop(session.id, None) is None:
            return
        session.state = "closed"
        self.metrics.closed.labels(reason).inc()
        session.listeners.publish("state", _state("closed", reason, message))
        session.listeners.end()
        record(
            _LOG, "session closed", session=session.id[:6], reason=reason,
            seconds=round(time.monotonic() - session.begin, 1),
            blocks=session.stats.get("blocks"), late_blocks=session.stats.get("late_blocks"),
            lost_packets=session.stats.get("lost_packets"),
        )  # fmt: skip

    async def _ask(self, session: Session, op: str, **values: Any) -> dict[str, Any]:
        try:
            return await session.worker.request(op, session=session.id, **values)
        except WorkerError as error:
            _refuse(error)

    async def _ask_to_close(self, session: Session) -> None:
        with contextlib.suppress(WorkerError):
            await session.worker.request("close", session=session.id)


def _state(state: str, reason: str, message: str) -> dict[str, Any]:
    return {"state": state, "reason": reason, "message": message}


def _refuse(error: WorkerError) -> NoReturn:
    """The problem that a worker's refusal is to a client."""
    slug = _PROBLEM_OF.get(error.kind, "internal")
    raise ProblemError(slug, str(error), field=error.field) from None
