"""RtpSource: Opus over RTP (RFC 3550, RFC 7587) from one sender on a UDP port."""

from __future__ import annotations

import threading
import time
from typing import Any

from .elements import Gst, caps, link, make, new_pipeline
from .opus_source import OPUS_RATE, OpusSource, Timeline
from .sockets import check_port, listen
from .types import SourceStats


class _Gate:
    """Looks at each packet before the jitter buffer: one sender only. Runs in udpsrc's thread."""

    def __init__(self, takeover_seconds: float) -> None:
        self.takeover_seconds = takeover_seconds
        self.lock = threading.Lock()
        self.ssrc: int | None = None
        self.last_seen = 0.0
        self.received = 0
        self.rejected = 0
        self.switch_to: int | None = None

    def admit(self, packet: bytes, now: float) -> bool:
        """Whether the packet (its first 12 bytes) belongs to the sender listened to."""
        with self.lock:
            # Version 2; payload types 72-76 are RTCP on the same port (RFC 5761).
            if len(packet) < 12 or packet[0] >> 6 != 2 or 72 <= packet[1] & 0x7F <= 76:
                self.rejected += 1
                return False
            ssrc = int.from_bytes(packet[8:12], "big")
            if self.ssrc is None:
                self.ssrc = ssrc
            if ssrc != self.ssrc:
                # A new sender may take over only from one that has fallen silent.
                if now - self.last_seen >= self.takeover_seconds:
                    self.switch_to = ssrc
                else:
                    self.rejected += 1
                return False
            self.last_seen = now
            self.received += 1
            return True


class RtpSource(OpusSource):
    """Receives Opus/RTP on a UDP port. For losses and gaps see `OpusSource`.

    Packets that arrive in order pass without delay; `latency_ms` is how long a missing one is waited for.

    Args:
        port: UDP port; 0 lets the system choose (see `port` after `start()`).
        host: address to listen on.
        rate: target rate in Hz.
        latency_ms: jitter buffer depth.
        inband_fec: recover single losses from the next packet. Costs one more frame of delay.
        takeover_seconds: after so much silence another SSRC is accepted as the sender, restarted.
    """

    def __init__(
        self,
        port: int,
        host: str = "0.0.0.0",
        rate: int = OPUS_RATE,
        *,
        channels: int = 1,
        latency_ms: int = 40,
        inband_fec: bool = False,
        takeover_seconds: float = 1.0,
        max_fill_seconds: float = 2.0,
        max_queue_seconds: float = 2.0,
    ) -> None:
        if not 0 <= latency_ms <= 10000:
            raise ValueError(f"latency_ms must be 0..10000, got {latency_ms}")
        super().__init__(
            f"RTP port {check_port(port)}", rate, channels, inband_fec, max_fill_seconds, max_queue_seconds
        )
        self.host = host
        self.port = port
        self.latency_ms = latency_ms
        self._socket: Any = None
        self._gate = _Gate(takeover_seconds)

    @property
    def ssrc(self) -> int | None:
        """The sender listened to."""
        return self._gate.ssrc

    @property
    def stats(self) -> SourceStats:
        result = super().stats
        with self._gate.lock:
            result.packets_received = self._gate.received
            result.packets_rejected = self._gate.rejected
        return result

    # -- pipeline ----------------------------------------------------------------------------------

    def _build(self) -> tuple[Any, Any]:
        if self._socket is None:
            self._socket, self.port = listen(self.host, self.port)
            self.label = f"RTP port {self.port}"
        source = make("udpsrc", socket=self._socket, close_socket=False)
        source.set_property(
            "caps", caps("application/x-rtp", media="audio", clock_rate=OPUS_RATE, encoding_name="OPUS")
        )
        jitter = make(
            "rtpjitterbuffer",
            latency=self.latency_ms,
            do_lost=True,
            post_drop_messages=True,
        )
        chain = [source, jitter, *self._decoding()]
        pipeline = new_pipeline(*chain)
        link(*chain)

        gate = self._gate

        def on_packet(_: Any, info: Any) -> Any:
            admitted = gate.admit(info.get_buffer().extract_dup(0, 12), time.monotonic())
            return Gst.PadProbeReturn.OK if admitted else Gst.PadProbeReturn.DROP

        inlet = source.get_static_pad("src")
        self._probes.append((inlet, inlet.add_probe(Gst.PadProbeType.BUFFER, on_packet)))
        self._observe(jitter.get_static_pad("src"))
        self._jitter = jitter
        return pipeline, chain[-1]

    def _release(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _close(self) -> None:
        self._forget()
        super()._close()

    # -- in the pull thread ------------------------------------------------------------------------

    def _between(self) -> None:
        if self._gate.switch_to is None:
            return
        # A fresh jitter buffer and decoder on the same socket: nothing of the old sender's state is left,
        # and the packets that arrive meanwhile wait in the kernel.
        self._close()
        with self._gate.lock:
            self._gate.ssrc, self._gate.switch_to = self._gate.switch_to, None
            self._gate.last_seen = time.monotonic()
        self._timeline = Timeline()
        self._position = None
        self._restarted = True
        with self._changed:
            self._stats.restarts += 1
        self._open()
