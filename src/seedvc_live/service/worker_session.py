"""One session of a media worker: a peer, a live conversion between its ends, and their end."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, fields
from statistics import median
from typing import Any

from seedvc_live.engine_thread import EngineThread
from seedvc_live.errors import SeedVCLiveError, SettingsError
from seedvc_live.live.stream import Delay
from seedvc_live.media.sdp import Offer
from seedvc_live.media.webrtc import Peer, PeerPolicy
from seedvc_live.media.webrtc_ice import IcePolicy
from seedvc_live.offline import Conversion
from seedvc_live.report import Report
from seedvc_live.session import LiveSession, Snapshot

_LOG = logging.getLogger(__name__)
_RECENT_BLOCKS = 50
_LOSS_WINDOW = 5.0


@dataclass(frozen=True)
class SessionPolicy:
    """How the control process wants sessions served. Times in seconds where not named otherwise.

    Attributes:
        playout_ms: depth of the play-out; None: that of the jitter buffer.
    """

    latency_ms: int = 40
    udp_ports: tuple[int, int] | None = None
    public_ip: str | None = None
    relay_only: bool = False
    loopback: bool = False
    negotiation_timeout: float = 15.0
    media_timeout: float = 10.0
    playout_ms: float | None = None
    frame_ms: int = 10

    @classmethod
    def parse(cls, values: dict[str, Any]) -> SessionPolicy:
        """
        Raises:
            SettingsError: a name is unknown, or a value out of range.
        """
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        if unknown:
            raise SettingsError(unknown[0], f"unknown policy '{unknown[0]}'")
        ports = values.get("udp_ports")
        policy = cls(**{**values, "udp_ports": tuple(ports) if ports else None})
        for name, low, high in (
            ("latency_ms", 0, 2000),
            ("negotiation_timeout", 0.1, 300),
            ("media_timeout", 0.1, 3600),
            ("playout_ms", 0, 2000),
        ):
            value = getattr(policy, name)
            if value is not None and not low <= value <= high:
                raise SettingsError(name, f"{name} must be {low} to {high}, got {value!r}")
        return policy

    @property
    def playout(self) -> float:
        """Depth of the play-out, seconds."""
        return (self.latency_ms if self.playout_ms is None else self.playout_ms) / 1000.0

    def for_peer(self, stun: list[str], turn: list[str]) -> PeerPolicy:
        """The part that concerns the connection."""
        ice = IcePolicy(tuple(stun), tuple(turn), self.udp_ports, self.public_ip, self.relay_only, self.loopback)
        return PeerPolicy(ice, latency_ms=self.latency_ms, frame_ms=self.frame_ms)


class WorkerSession:
    """A peer and its conversion. Everything here may block; it is called from worker threads.

    Args:
        on_change: called from any thread when the peer's state changed or the conversion ended.
    """

    def __init__(
        self,
        session_id: str,
        offer: Offer,
        conversion: Conversion,
        policy: SessionPolicy,
        peer_policy: PeerPolicy,
        *,
        bypass: bool,
        reserve: float,
        engine_thread: EngineThread,
        on_change: Callable[[], None],
    ) -> None:
        self.id = session_id
        self.policy = policy
        self.begin = time.monotonic()
        self.failure: BaseException | None = None
        self._on_change = on_change
        self._engine_name = conversion.engine.name
        self.peer = Peer(offer, peer_policy, conversion.engine.sample_rate, on_change)
        report = Report(conversion.engine.name, "WebRTC", None, "WebRTC")
        self.live = LiveSession(
            conversion,
            self.peer.source,
            self.peer.sink,
            report,
            playout=policy.playout,
            bypass=bypass,
            reserve=reserve,
            engine_thread=engine_thread,
        )
        self._thread = threading.Thread(target=self._run, name=f"session {session_id[:8]}", daemon=True)
        self._recent: deque[float] = deque(maxlen=_RECENT_BLOCKS)
        self._losses: deque[tuple[float, int, int]] = deque()
        self._ending, self._ended = threading.Lock(), False
        self._heard = self.begin
        self._packets = 0

    def negotiate(self) -> str:
        """Answer the offer and begin to convert.

        Raises:
            NegotiationError: see `Peer.negotiate`.
        """
        answer = self.peer.negotiate()
        with self._ending:
            if not self._ended:
                self._thread.start()
        return answer

    def close(self) -> None:
        """End everything. Blocks for up to some tenths of a second."""
        self.live.cancel()
        with self._ending:
            self._ended = True
        if self._thread.ident is not None:
            self._thread.join()
        self.peer.close()

    @property
    def delay(self) -> dict[str, float]:
        """The parts of the delay that this side adds, in milliseconds."""
        delay: Delay = self.live.delay
        # A decoder of in-band FEC holds each packet back until the next one; that comes out of the play-out.
        held = min(self.peer.source.held, delay.playout)
        parts = {
            "algorithmic_ms": 1000.0 * delay.algorithmic,
            "compute_ms": 1000.0 * delay.compute,
            "playout_ms": 1000.0 * (delay.playout - held),
            "jitter_buffer_ms": 1000.0 * held,
        }
        return {name: round(value, 1) for name, value in (*parts.items(), ("total_ms", sum(parts.values())))}

    @property
    def load(self) -> float | None:
        """Measured share of a core that converting takes; None while nothing was converted yet."""
        if not self._recent:
            return None
        geometry = self.live.stream.chain.geometry
        return sum(self._recent) / len(self._recent) / (geometry.block / self.live.engine.sample_rate)

    def silent_for(self, now: float) -> float:
        """Seconds since the peer's last packet (or since the session's begin)."""
        packets = self.peer.source.stats.packets_received
        if packets != self._packets:
            self._packets, self._heard = packets, now
        return now - self._heard

    def stats(self) -> dict[str, Any]:
        """A reading for the control process; the lists are what has come since the last one."""
        shot = self.live.snapshot()
        timings = self.live.take_timings()
        self._recent.extend(timing.share for timing in timings)
        return {
            "session": self.id,
            "time": round(time.time(), 3),
            "level_in_dbfs": round(shot.level_in.rms_db, 1),
            "level_out_dbfs": round(shot.level_out.rms_db, 1),
            "delay": self.delay,
            "blocks": shot.blocks,
            "late_blocks": shot.late_blocks,
            "dropped_blocks": shot.dropped_blocks,
            "block_ms": round(1000.0 * median(self._recent), 2) if self._recent else None,
            "block_seconds": [round(timing.share, 5) for timing in timings],
            "queue_ms": [round(1000.0 * timing.queued, 2) for timing in timings],
            "concealed_ms": round(1000.0 * shot.concealed, 1),
            "received_packets": shot.received_packets,
            "lost_packets": shot.lost_packets,
            "loss": self._loss(shot),
            "rtt_ms": None if self.peer.rtt is None else round(1000.0 * self.peer.rtt, 1),
            "settings": shot.settings.model_dump(),
            "engine": self._engine_name,
            "bypass": shot.bypass,
            "overload_step": shot.overload_step,
        }

    def _loss(self, shot: Snapshot) -> float:
        """Share of packets lost in the last seconds."""
        self._losses.append((shot.time, shot.received_packets, shot.lost_packets))
        while self._losses[0][0] < shot.time - _LOSS_WINDOW:
            self._losses.popleft()
        _, received, lost = self._losses[0]
        received, lost = shot.received_packets - received, shot.lost_packets - lost
        return round(lost / (received + lost), 4) if received + lost > 0 else 0.0

    def _run(self) -> None:
        try:
            self.live.run()
        except SeedVCLiveError as error:
            self.failure = error
        except Exception as error:
            _LOG.exception("session %s failed", self.id[:8])
            self.failure = error
        self._on_change()
