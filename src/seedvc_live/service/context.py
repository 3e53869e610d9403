"""What the request handlers share."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from seedvc_live.engines.registry import ENGINES, NEEDS_MODELS
from seedvc_live.errors import ClipRejectedError, SeedVCLiveError, VoiceError, VoiceNotFoundError
from seedvc_live.service.config import ServeConfig
from seedvc_live.service.enroll import enroll
from seedvc_live.service.metrics import Metrics
from seedvc_live.service.pool import WorkerPool
from seedvc_live.service.problems import PROBLEMS, ProblemError
from seedvc_live.service.security import Tickets
from seedvc_live.service.sessions import Sessions
from seedvc_live.service.voices import VoiceStore

_LOG = logging.getLogger(__name__)


@dataclass
class Service:
    """The running server's parts."""

    config: ServeConfig
    store: VoiceStore
    sessions: Sessions
    pool: WorkerPool
    metrics: Metrics
    tickets: Tickets = field(default_factory=Tickets)
    closing: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    def make(cls, config: ServeConfig) -> Service:
        """Put the parts together; nothing is started."""
        sessions = Sessions(config)
        pool = WorkerPool(config, sessions.on_event, sessions.on_lost, lambda: metrics.restarts.inc())
        metrics = Metrics(sessions.by_engine, pool.counts)
        sessions.pool, sessions.metrics = pool, metrics
        return cls(config, VoiceStore(config.voices), sessions, pool, metrics)

    def engine(self, name: str | None) -> str:
        """The engine a request names, or the default one.

        Raises:
            ProblemError: there is none of that name, or this server does not run it.
        """
        name = name or self.config.default_engine
        if name in self.pool.engines:
            return name
        if name in self.config.engines:
            raise ProblemError("not-ready", "the media workers are starting")
        if name not in ENGINES:
            raise ProblemError(
                "unknown-engine", f"no engine of that name; there are {', '.join(ENGINES)}", field="engine"
            )
        install = install_command(name)
        detail = f"engine '{name}' is not installed" if install else f"start the server with --engine {name} to use it"
        raise ProblemError("engine-not-installed", detail, field="engine", install=install)

    def facts(self, engine: str) -> dict[str, Any]:
        """What the workers say of an engine that they have."""
        facts: dict[str, Any] = self.pool.engines[engine]
        return facts

    async def check_voice(self, voice: str) -> None:
        """Raise:
        ProblemError: 404, there is no such voice.
        """
        try:
            await asyncio.to_thread(self.store.get, voice)
        except SeedVCLiveError as error:
            raise voice_problem(error) from None

    async def voice_file(self, voice: str, engine: str) -> Path:
        """The tensors of a voice for an engine; enrolled first where that has not been done.

        Raises:
            ProblemError: 404 no such voice; 422 it cannot be enrolled.
        """
        try:
            return await enroll(self.store, voice, engine, self.facts(engine)["weights"])
        except SeedVCLiveError as error:
            raise voice_problem(error) from None


SERVICE = web.AppKey("service", Service)


def install_command(engine: str) -> str | None:
    """The command that installs an engine, or None where it is there."""
    import importlib.util

    if engine in NEEDS_MODELS and importlib.util.find_spec("torch") is None:
        return f"pip install 'seedvc-live[{engine}]'"
    return None


def voice_problem(error: SeedVCLiveError) -> ProblemError:
    """What a fault of a voice or a clip is to a client."""
    if isinstance(error, VoiceNotFoundError):
        return ProblemError("unknown-voice", "no voice has this id")
    if isinstance(error, ClipRejectedError):
        slug = error.slug if error.slug in PROBLEMS else "too-large"
        return ProblemError(slug, str(error), field="clip")
    if isinstance(error, VoiceError):
        return ProblemError("bad-voice", str(error), field="voice")
    _LOG.error("a clip or a voice: %s", error)
    return ProblemError("internal", "the clip could not be handled; the log of the server has more")
