"""The answer to an offer, written from what webrtcbin answered to the offer's rebuilt form."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, replace

from ..errors import NegotiationError, SdpError
from .candidates import Candidate, parse_candidate
from .sdp import PROTOCOL, Offer

_ATTRIBUTE = re.compile(r"^a=(ice-ufrag|ice-pwd|fingerprint|setup|ssrc|candidate):(.*?)\r?$", re.MULTILINE)


@dataclass(frozen=True)
class Local:
    """This side's transport, as webrtcbin's local description states it."""

    ufrag: str
    password: str
    fingerprint: str
    setup: str
    ssrc: int | None
    candidates: tuple[Candidate, ...]

    def with_candidates(self, candidates: tuple[Candidate, ...]) -> Local:
        return replace(self, candidates=candidates)


def read_local(text: str) -> Local:
    """
    Args:
        text: webrtcbin's local description, of one m-line, all candidates gathered.

    Raises:
        NegotiationError: the audio was refused, or something is missing.
    """
    media = text[text.find("\nm=") + 1 :]
    if not re.match(rf"m=audio [1-9][0-9]* {PROTOCOL} ", media) or not re.search(r"^a=sendrecv\r?$", media, re.M):
        raise NegotiationError("GStreamer refused the offer's audio")
    values: dict[str, list[str]] = {}
    for name, value in _ATTRIBUTE.findall(text):
        values.setdefault(name, []).append(value)
    try:
        ufrag, password, fingerprint, setup = (
            values[name][0] for name in ("ice-ufrag", "ice-pwd", "fingerprint", "setup")
        )
    except KeyError as missing:
        raise NegotiationError(f"GStreamer's answer has no {missing.args[0]}") from None
    candidates: dict[str, Candidate] = {}
    for value in values.get("candidate", []):
        try:
            candidate = parse_candidate(f"candidate:{value}")
        except SdpError:
            continue
        if candidate.usable:
            candidates.setdefault(candidate.text(), candidate)
    ssrc = values["ssrc"][0].split()[0] if "ssrc" in values else None
    return Local(ufrag, password, fingerprint, setup, int(ssrc) if ssrc else None, tuple(candidates.values()))


def with_public_address(candidates: tuple[Candidate, ...], public: str) -> tuple[Candidate, ...]:
    """Candidates of a host behind one-to-one NAT: its own private addresses give way to the public one.

    Loopback and relayed candidates stay; what becomes equal is named once.
    """
    version = ipaddress.ip_address(public).version
    mapped: dict[tuple[str, int], Candidate] = {}
    for candidate in candidates:
        ip = ipaddress.ip_address(candidate.address)
        if candidate.kind == "host" and ip.version == version and ip.is_private and not ip.is_loopback:
            candidate = replace(candidate, address=public)
        mapped.setdefault((candidate.address, candidate.port), candidate)
    return tuple(mapped.values())


def answer_text(offer: Offer, local: Local, *, session_id: int, ptime: int | None = None, fec: bool = True) -> str:
    """The answer, with an m-line for each of the offer's: the audio accepted, the others rejected (port 0).

    Args:
        session_id: for the o-line, so that two answers differ.
        ptime: milliseconds per packet that this side would like to receive.
        fec: whether in-band FEC is decoded here.
    """
    lines = ["v=0", f"o=- {session_id} 2 IN IP4 127.0.0.1", "s=-", "t=0 0"]
    if offer.bundled:
        lines.append(f"a=group:BUNDLE {offer.mid}")
    lines.append("a=msid-semantic:WMS *")
    for index, section in enumerate(offer.media):
        if index != offer.audio:
            lines += [f"m={section.kind} 0 {section.protocol} {' '.join(section.formats)}", "c=IN IP4 0.0.0.0"]
            lines += [f"a=mid:{section.mid}"] if section.mid is not None else []
            lines.append("a=inactive")
            continue
        number = offer.payload_type
        parameters = [f"minptime={min(10, ptime or 10)}", f"useinbandfec={int(fec and offer.inband_fec)}"]
        lines += [
            f"m=audio 9 {PROTOCOL} {number}",
            "c=IN IP4 0.0.0.0",
            f"a=mid:{offer.mid}",
            "a=sendrecv",
            "a=rtcp-mux",
            f"a=ice-ufrag:{local.ufrag}",
            f"a=ice-pwd:{local.password}",
            "a=ice-options:trickle",
            f"a=fingerprint:{local.fingerprint}",
            f"a=setup:{local.setup}",
            f"a=rtpmap:{number} opus/48000/2",
            f"a=fmtp:{number} {';'.join(parameters)}",
            *([f"a=ptime:{ptime}"] if ptime else []),
            "a=msid:seedvc-live converted",
            *([f"a=ssrc:{local.ssrc} cname:seedvc-live"] if local.ssrc is not None else []),
            *(f"a={candidate.text()}" for candidate in local.candidates),
            "a=end-of-candidates",
        ]
    return "\r\n".join(lines) + "\r\n"
