"""Loading WebRTC before it is needed: a process's first negotiation takes seconds, the next ones milliseconds."""

from __future__ import annotations

import logging

from ..errors import SeedVCLiveError
from .sdp import parse_offer
from .webrtc import Peer, PeerPolicy
from .webrtc_ice import IcePolicy

_LOG = logging.getLogger(__name__)

_RATE = 48_000

# As a browser would offer, from nobody: no candidate, so no packet leaves.
_OFFER = "\r\n".join(
    [
        "v=0",
        "o=- 1 1 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111",
        "c=IN IP4 0.0.0.0",
        "a=rtcp:9 IN IP4 0.0.0.0",
        "a=ice-ufrag:warm",
        "a=ice-pwd:warmwarmwarmwarmwarmwarm",
        "a=fingerprint:sha-256 " + ":".join(["00"] * 32),
        "a=setup:actpass",
        "a=mid:0",
        "a=sendrecv",
        "a=rtcp-mux",
        "a=rtpmap:111 opus/48000/2",
        "a=fmtp:111 minptime=10;useinbandfec=1",
        "",
    ]
)


def warm_up() -> None:
    """Negotiate with nobody, once. A failure is logged: the first real session will say it properly."""
    try:
        peer = Peer(parse_offer(_OFFER), PeerPolicy(IcePolicy(loopback=True)), _RATE)
        try:
            peer.negotiate()
        finally:
            peer.close()
    except SeedVCLiveError as error:
        _LOG.warning("WebRTC could not be tried beforehand: %s", error)
