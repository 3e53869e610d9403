"""One WebRTC peer: a pipeline around webrtcbin that answers one offer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from secrets import randbits
from typing import Any

import gi

from ..errors import NegotiationError, NoAddressError
from .bus import BusWatch, failure
from .candidates import Candidate
from .elements import Gst, make, new_pipeline
from .opus_sink import OpusOptions
from .sdp import MAX_CANDIDATES, Offer
from .sdp_answer import answer_text, read_local, with_public_address
from .webrtc_ends import PeerSink, PeerSource
from .webrtc_ice import IcePolicy, configure
from .webrtc_stats import expected_loss, feedback

gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GstSdp, GstWebRTC

_STEP_TIMEOUT = 5.0
_GATHER_TIMEOUT = 3.0
_MAX_STREAMS = 4
_BUS_INTERVAL = 0.1
_COMPLEXITY = 5

STATES = ("new", "connecting", "connected", "disconnected", "failed", "closed")


@dataclass(frozen=True)
class PeerPolicy:
    """How a peer is served.

    Attributes:
        latency_ms: how long a missing packet is waited for.
        frame_ms: of the Opus packets sent, and asked for.
        inband_fec: decode the peer's in-band FEC, if it has offered it, from its first lost packet on. Takes
            one of its packets out of the play-out's depth.
    """

    ice: IcePolicy = field(default_factory=IcePolicy)
    latency_ms: int = 40
    frame_ms: int = 10
    inband_fec: bool = True
    bitrate: int = 32000


class Peer:
    """Answers one offer, then receives in `source` and sends from `sink` until `close`.

    Args:
        offer: parsed and judged.
        rate: of both ends' samples, in Hz.
        on_state: called, from a thread of GStreamer's, when `state` has changed.

    Raises:
        MissingElementError: a GStreamer plugin is not installed.
    """

    def __init__(
        self, offer: Offer, policy: PeerPolicy, rate: int, on_state: Callable[[], None] = lambda: None
    ) -> None:
        # A stranger has no business on this machine's loopback, unless the policy says that it may.
        reached = tuple(candidate for candidate in offer.candidates if policy.ice.loopback or not candidate.loopback)
        self.offer = replace(offer, candidates=reached)
        self.policy = policy
        self.inband_fec = policy.inband_fec and offer.inband_fec
        """Whether the peer's in-band FEC is decoded as soon as something is lost."""
        self.state = "new"
        self.rtt: float | None = None
        """Round trip by RTCP, seconds; None until it is known."""
        self._expected_loss = 0
        self._on_state = on_state
        self._candidates = 0
        self._closed = False
        self._closing = threading.Lock()
        self._negotiating = threading.Lock()
        self._webrtc = make("webrtcbin", bundle_policy="max-bundle", latency=policy.latency_ms)
        if policy.ice.relay_only:
            self._webrtc.set_property("ice-transport-policy", GstWebRTC.WebRTCICETransportPolicy.RELAY)
        self._pipeline = new_pipeline(self._webrtc)
        self.bus = BusWatch(self._pipeline, interval=_BUS_INTERVAL)
        configure(self._webrtc, policy.ice)
        self._rtpbin = self._webrtc.get_by_name("rtpbin")
        # A stranger could otherwise make a jitter buffer with each SSRC it thinks of.
        self._rtpbin.set_property("max-streams", _MAX_STREAMS)
        self.source = PeerSource(self._pipeline, self.bus, rate)
        options = OpusOptions(policy.bitrate, policy.frame_ms, offer.payload_type, 0, _COMPLEXITY)
        # Requested before the offer is set: that makes the transceiver send as well as receive.
        outlet = self._webrtc.request_pad_simple("sink_0")
        self.sink = PeerSink(self._pipeline, self.bus, outlet, rate, options)
        self._handlers: list[tuple[Any, int]] = []
        self._connect(self._webrtc, "pad-added", self._pad_added)
        self._connect(self._webrtc, "notify::connection-state", self._connection_changed)
        self._connect(self._webrtc, "notify::ice-connection-state", self._connection_changed)

    # -- negotiation -------------------------------------------------------------------------------

    def negotiate(self) -> str:
        """Answer the offer, with all candidates gathered. Blocks for up to some seconds.

        Raises:
            NegotiationError: GStreamer refused it or did not answer in time, or `close` was called meanwhile.
            NoAddressError: there is no network, or no relay where only that may be used.
        """
        with self._negotiating:
            self._check()
            return self._negotiated()

    def _negotiated(self) -> str:
        if self._pipeline.set_state(Gst.State.PLAYING) == Gst.StateChangeReturn.FAILURE:
            raise NegotiationError("GStreamer could not start the WebRTC pipeline")
        result, message = GstSdp.SDPMessage.new_from_text(self.offer.text())
        if result != GstSdp.SDPResult.OK:
            raise NegotiationError("GStreamer could not parse the offer")
        kind = GstWebRTC.WebRTCSDPType
        offer = GstWebRTC.WebRTCSessionDescription.new(kind.OFFER, message)
        self._do("set-remote-description", offer)
        # The answer lives in the promise's reply: the promise is kept until it has been used.
        promise = self._do("create-answer", None)
        reply = promise.get_reply()
        answer = reply.get_value("answer") if reply is not None else None
        if answer is None:
            raise NegotiationError("GStreamer gave no answer to the offer")
        self._do("set-local-description", answer)
        del answer, reply, promise
        # webrtcbin does not say that the peer has ended the connection; its DTLS decoder does.
        for element in _elements(self._webrtc.iterate_all_by_element_factory_name("dtlsdec")):
            self._connect(element, "notify::connection-state", self._dtls_changed)
        deadline = time.monotonic() + _GATHER_TIMEOUT
        complete = GstWebRTC.WebRTCICEGatheringState.COMPLETE
        # GStreamer before 1.28 may never say complete: then what has been gathered is used.
        while self._webrtc.get_property("ice-gathering-state") != complete and time.monotonic() < deadline:
            self._check()
            time.sleep(0.005)
        local = read_local(self._webrtc.get_property("local-description").sdp.as_text())
        if not local.candidates:
            raise NoAddressError(
                "the TURN server gives this server no relay: check its address and the secret they share"
                if self.policy.ice.relay_only
                else "this server found no network address to offer"
            )
        if self.policy.ice.public_ip is not None:
            local = local.with_candidates(with_public_address(local.candidates, self.policy.ice.public_ip))
        return answer_text(self.offer, local, session_id=randbits(62), ptime=self.policy.frame_ms, fec=self.inband_fec)

    def add_candidate(self, candidate: Candidate) -> None:
        """One more address of the peer; unusable ones are passed over.

        Raises:
            NegotiationError: it has sent more than any real peer does.
        """
        if not candidate.usable or (candidate.loopback and not self.policy.ice.loopback):
            return
        self._candidates += 1
        if self._candidates > MAX_CANDIDATES:
            raise NegotiationError(f"more than {MAX_CANDIDATES} ICE candidates")
        with self._closing:
            if not self._closed:
                self._webrtc.emit("add-ice-candidate", 0, candidate.text())

    def adapt(self) -> None:
        """Once a second or so: learn what the peer reports, and lay the in-band FEC out for its loss; decode
        the peer's own as soon as something of it was lost.
        """
        with self._closing:
            if self._closed or self.state != "connected":
                return
            report = feedback(self._rtpbin)
            if self.inband_fec and self.source.stats.packets_lost:
                self.source.decode_fec()
        if report is None:
            return
        self.rtt = report.rtt
        expected = expected_loss(self._expected_loss, report.loss)
        if expected != self._expected_loss and self.offer.inband_fec:
            self._expected_loss = expected
            self.sink.set_expected_loss(expected)

    def close(self) -> None:
        """End the connection and free everything. May be called twice; blocks for up to some tenths of a
        second.
        """
        with self._closing:
            if self._closed:
                return
            self._closed = True
            for element, handler in self._handlers:
                element.disconnect(handler)
            self._handlers.clear()
        self.sink.open = False
        # It looks whether the peer was closed several times a second.
        if self._negotiating.acquire(timeout=2 * _STEP_TIMEOUT):
            self._negotiating.release()
        self.source.stop()
        self.sink.abort()
        self._pipeline.set_state(Gst.State.NULL)
        self.bus.close()
        self.state = "closed"
        self._webrtc = self._rtpbin = self._pipeline = None
        # Sessions outlive their peer in many hands; descriptors and threads of GStreamer must not.
        self.source.release()
        self.sink.release()

    # -- inside ------------------------------------------------------------------------------------

    def _do(self, action: str, argument: Any) -> Any:
        """Emit a webrtcbin action; its promise, replied to."""
        done = threading.Event()
        promise = Gst.Promise.new_with_change_func(lambda *_: done.set())
        self._webrtc.emit(action, argument, promise)
        # Waited for even when `close` is called meanwhile: a webrtcbin that is stopped within an action keeps its
        # sockets for ever.
        if not done.wait(_STEP_TIMEOUT):
            promise.interrupt()
            raise NegotiationError(f"GStreamer did not answer to {action}")
        self._check()
        reply = promise.get_reply()
        if reply is not None and reply.has_field("error"):
            error = reply.get_value("error")
            raise NegotiationError(f"GStreamer refused the offer ({action}): {' '.join(str(error.message).split())}")
        return promise

    def _check(self) -> None:
        if self._closed:
            raise NegotiationError("the session was closed")
        self.bus.poll()
        if self.bus.error is not None:
            raise failure(NegotiationError, "WebRTC peer", self.bus.error)

    def _connection_changed(self, webrtc: Any, _: Any) -> None:
        state = webrtc.get_property("connection-state").value_nick
        ice = webrtc.get_property("ice-connection-state").value_nick
        if ice == "failed":
            state = "failed"
        if state == self.state or self.state == "closed":
            return
        self.state = state
        self.sink.open = state in ("connected", "disconnected")
        self._on_state()

    def _dtls_changed(self, dtls: Any, _: Any) -> None:
        if dtls.get_property("connection-state").value_nick == "closed" and self.state in ("connected", "disconnected"):
            self.state = "closed"
            self.sink.open = False
            self._on_state()

    def _connect(self, element: Any, signal: str, handler: Callable[..., None]) -> None:
        with self._closing:
            if not self._closed:
                self._handlers.append((element, element.connect(signal, handler)))

    def _pad_added(self, _: Any, pad: Any) -> None:
        if pad.get_direction() != Gst.PadDirection.SRC:
            return
        if not self.source.attach(pad, self._jitter_buffer()):
            # One speaker only; what nobody takes would make the stream's buffer fill and stop.
            drain = make("fakesink", sync=False)
            drain.set_property("async", False)
            self._pipeline.add(drain)
            drain.sync_state_with_parent()
            pad.link(drain.get_static_pad("sink"))

    def _jitter_buffer(self) -> Any:
        return next(iter(_elements(self._rtpbin.iterate_all_by_element_factory_name("rtpjitterbuffer"))), None)


def _elements(iterator: Any) -> list[Any]:
    """All elements that an iterator gives; they may be changing meanwhile."""
    found: list[Any] = []
    while True:
        result, element = iterator.next()
        if result == Gst.IteratorResult.OK:
            found.append(element)
        elif result == Gst.IteratorResult.RESYNC:
            found.clear()
            iterator.resync()
        else:
            return found
