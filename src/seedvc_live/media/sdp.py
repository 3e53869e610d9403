"""WebRTC offers from outside: parsed strictly, judged, and written anew from the parsed fields.

GStreamer never sees a stranger's text (some malformed offers abort GStreamer 1.22's process): `Offer.text` is made of
checked numbers and tokens only, and holds one audio m-line and nothing else. Formats: RFC 8866 (SDP), RFC 8829
(JSEP), RFC 8839 (ICE), RFC 8122 (fingerprints), RFC 8843 (BUNDLE), RFC 7587 (Opus).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..errors import SdpError
from .candidates import Candidate, parse_candidate

MAX_BYTES = 64 * 1024
MAX_MEDIA = 3
MAX_CANDIDATES = 64
"""More than these are an error, not dropped: no real peer sends as many."""

PROTOCOL = "UDP/TLS/RTP/SAVPF"
_LINE = re.compile(r"([a-z])=([^\x00-\x1f\x7f]*)\Z")
_ATTRIBUTE = re.compile(r"([A-Za-z0-9-]{1,64})(?::(.*))?\Z")
_MEDIA = re.compile(r"([a-z]{1,20}) ([0-9]{1,5})(?:/1)? ([A-Za-z0-9/]{1,40})((?: [A-Za-z0-9._/+-]{1,32}){1,128}) ?\Z")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]{1,64}\Z")
_UFRAG = re.compile(r"[A-Za-z0-9+/]{4,256}\Z")
_PASSWORD = re.compile(r"[A-Za-z0-9+/]{22,256}\Z")
_FINGERPRINT = re.compile(r"([A-Za-z0-9-]{3,10}) ([0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){15,63})\Z")
_HASH_BYTES = {"sha-256": 32, "sha-384": 48, "sha-512": 64}
_DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")
_ONCE = ("ice-ufrag", "ice-pwd", "ice-options", "ice-lite", "setup", "mid", "rtcp-mux", "ptime", "maxptime")
_PARAMETERS = {
    "minptime": 120,
    "maxptime": 120,
    "ptime": 120,
    "useinbandfec": 1,
    "usedtx": 1,
    "stereo": 1,
    "cbr": 1,
    "maxaveragebitrate": 510_000,
    "maxplaybackrate": 48_000,
}
"""Parameters of Opus that are read, and the largest value of each."""


@dataclass(frozen=True)
class Section:
    """One m-line. Attributes are (name, value) in order; value None for a flag."""

    kind: str
    port: int
    protocol: str
    formats: tuple[str, ...]
    attributes: tuple[tuple[str, str | None], ...]

    def values(self, name: str) -> list[str]:
        """All values of an attribute."""
        return _values(self.attributes, name)

    @property
    def mid(self) -> str | None:
        return next(iter(self.values("mid")), None)


@dataclass(frozen=True)
class Offer:
    """An acceptable offer.

    Attributes:
        media: all m-lines, as the answer has to name them.
        audio: index of the one that is used.
        bundled: whether the offer has a BUNDLE group with the audio in it.
        payload_type: of opus/48000/2.
        parameters: of Opus (`a=fmtp`), the known ones.
        ufrag, password: ICE credentials.
        fingerprint: (hash, value) of the peer's certificate.
        setup: "actpass" or "active".
        candidates: usable ones; others were dropped.
    """

    media: tuple[Section, ...]
    audio: int
    bundled: bool
    payload_type: int
    ufrag: str
    password: str
    fingerprint: tuple[str, str]
    setup: str
    parameters: dict[str, int] = field(default_factory=dict)
    candidates: tuple[Candidate, ...] = ()

    @property
    def inband_fec(self) -> bool:
        """Whether the peer can use Opus' in-band FEC."""
        return self.parameters.get("useinbandfec") == 1

    @property
    def mid(self) -> str:
        mid = self.media[self.audio].mid
        assert mid is not None
        return mid

    def text(self) -> str:
        """An offer of the audio alone, as m-line 0 with mid "0"."""
        parameters = ";".join(f"{name}={value}" for name, value in self.parameters.items())
        lines = [
            "v=0",
            "o=- 1 1 IN IP4 127.0.0.1",
            "s=-",
            "t=0 0",
            "a=group:BUNDLE 0",
            "a=ice-options:trickle",
            f"m=audio 9 {PROTOCOL} {self.payload_type}",
            "c=IN IP4 0.0.0.0",
            "a=mid:0",
            "a=sendrecv",
            "a=rtcp-mux",
            f"a=ice-ufrag:{self.ufrag}",
            f"a=ice-pwd:{self.password}",
            f"a=fingerprint:{self.fingerprint[0]} {self.fingerprint[1]}",
            f"a=setup:{self.setup}",
            f"a=rtpmap:{self.payload_type} opus/48000/2",
            *([f"a=fmtp:{self.payload_type} {parameters}"] if parameters else []),
            *(f"a={candidate.text()}" for candidate in self.candidates),
        ]
        return "\r\n".join(lines) + "\r\n"


def parse_offer(text: str) -> Offer:
    """Parse and judge an offer.

    Raises:
        SdpError: it is malformed, or asks for what is not supported; one line says what.
    """
    session, media = _sections(_lines(text))
    _check_groups(session, media)
    audio, payload_type = _audio(media)
    section = media[audio]
    _check_audio(session, section)
    bundle = _bundle(session)
    # A bundled m-line without transport attributes has those of the group's first m-line (RFC 8843, 9.2).
    levels = [section.attributes, session]
    if section.mid in bundle:
        tagged = next(other for other in media if other.mid == bundle[0])
        levels.insert(1, tagged.attributes)
    ufrag, password = _one_of(levels, "ice-ufrag"), _one_of(levels, "ice-pwd")
    if not _UFRAG.match(ufrag) or not _PASSWORD.match(password):
        raise SdpError("ICE credentials (ice-ufrag, ice-pwd) are malformed")
    setup = _one_of(levels, "setup")
    if setup not in ("actpass", "active"):
        raise SdpError(f"a=setup of an offer must be actpass or active, got {setup[:20]!r}")
    return Offer(
        media=media,
        audio=audio,
        bundled=section.mid in bundle,
        payload_type=payload_type,
        ufrag=ufrag,
        password=password,
        fingerprint=_fingerprint(levels),
        setup=setup,
        parameters=_parameters(section, payload_type),
        candidates=_candidates(levels),
    )


def _lines(text: str) -> list[tuple[str, str]]:
    if not isinstance(text, str):
        raise SdpError("the session description must be text")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise SdpError("the session description is not valid UTF-8") from None
    if size > MAX_BYTES:
        raise SdpError(f"the session description has {size} bytes; at most {MAX_BYTES} are accepted")
    lines = []
    for number, line in enumerate(text.replace("\r\n", "\n").rstrip("\n").split("\n"), 1):
        found = _LINE.match(line)
        if found is None:
            raise SdpError(f"line {number} of the session description is not of the form x=value")
        lines.append((found[1], found[2]))
    return lines


def _sections(lines: Sequence[tuple[str, str]]) -> tuple[tuple[tuple[str, str | None], ...], tuple[Section, ...]]:
    """Session attributes, and the m-lines with theirs."""
    if not lines or lines[0] != ("v", "0"):
        raise SdpError("a session description begins with v=0")
    parts: list[list[tuple[str, str]]] = [[]]
    for kind, value in lines:
        if kind == "m":
            parts.append([])
        elif kind not in ("vosiuepcbtrzka" if len(parts) == 1 else "icbka"):
            raise SdpError(f"a line {kind}= is not allowed there")
        parts[-1].append((kind, value))
    for kind in "vost":
        if sum(1 for found, _ in parts[0] if found == kind) != 1:
            raise SdpError(f"a session description has exactly one line {kind}= before its m-lines")
    if not 1 <= len(parts) - 1 <= MAX_MEDIA:
        raise SdpError(f"an offer has 1 to {MAX_MEDIA} m-lines, got {len(parts) - 1}")
    return _attributes(parts[0]), tuple(_section(part) for part in parts[1:])


def _section(lines: Sequence[tuple[str, str]]) -> Section:
    found = _MEDIA.match(lines[0][1])
    if found is None or int(found[2]) > 65535:
        raise SdpError(f"malformed m-line: {lines[0][1][:60]!r}")
    section = Section(found[1], int(found[2]), found[3], tuple(found[4].split()), _attributes(lines[1:]))
    if section.mid is not None and not _TOKEN.match(section.mid):
        raise SdpError(f"malformed mid: {section.mid[:60]!r}")
    return section


def _attributes(lines: Sequence[tuple[str, str]]) -> tuple[tuple[str, str | None], ...]:
    attributes = []
    for kind, text in lines:
        if kind != "a":
            continue
        found = _ATTRIBUTE.match(text)
        if found is None:
            raise SdpError(f"malformed attribute: {text[:60]!r}")
        attributes.append((found[1], found[2]))
    for name in _ONCE:
        if sum(1 for found_name, _ in attributes if found_name == name) > 1:
            raise SdpError(f"attribute {name} is given twice")
    return tuple(attributes)


def _bundle(session: Sequence[tuple[str, str | None]]) -> list[str]:
    groups = [value.split()[1:] for value in _values(session, "group") if value.split()[:1] == ["BUNDLE"]]
    if len(groups) > 1:
        raise SdpError("more than one BUNDLE group is not supported")
    return groups[0] if groups else []


def _check_groups(session: Sequence[tuple[str, str | None]], media: Sequence[Section]) -> None:
    mids = [section.mid for section in media if section.mid is not None]
    if len(set(mids)) != len(mids):
        raise SdpError("two m-lines have the same mid")
    group = _bundle(session)
    if len(set(group)) != len(group) or not set(group) <= set(mids):
        raise SdpError("the BUNDLE group names a mid twice, or one that no m-line has")


def _audio(media: Sequence[Section]) -> tuple[int, int]:
    """Index of the m-line that is used, and the payload type of its Opus."""
    usable, reasons = [], []
    for index, section in enumerate(media):
        if section.kind != "audio":
            continue
        payload_type = _opus(section)
        if section.port == 0 and ("bundle-only", None) not in section.attributes:
            reasons.append("its audio is disabled (port 0)")
        elif section.protocol != PROTOCOL:
            reasons.append(f"its audio's protocol is {section.protocol}, not {PROTOCOL}")
        elif payload_type is None:
            reasons.append("its audio does not offer opus/48000/2")
        else:
            usable.append((index, payload_type))
    if len(usable) > 1:
        raise SdpError("an offer must have exactly one audio m-line, this one has several")
    if not usable:
        raise SdpError(f"the offer has no usable audio: {reasons[0] if reasons else 'there is no audio m-line'}")
    return usable[0]


def _opus(section: Section) -> int | None:
    maps: dict[str, str] = {}
    for value in section.values("rtpmap"):
        number, _, encoding = value.partition(" ")
        if maps.setdefault(number, encoding.strip().lower()) != encoding.strip().lower():
            raise SdpError(f"payload type {number[:10]!r} is mapped twice")
    for number in section.formats:
        if maps.get(number) == "opus/48000/2":
            # 64 to 95 would be taken for RTCP on the same port (RFC 5761); below 35 they are not dynamic.
            if not re.fullmatch(r"[1-9][0-9]{1,2}", number) or int(number) not in (*range(35, 64), *range(96, 128)):
                raise SdpError(f"payload type {number} cannot be that of Opus")
            return int(number)
    return None


def _check_audio(session: Sequence[tuple[str, str | None]], section: Section) -> None:
    if section.mid is None:
        raise SdpError("the audio m-line has no mid")
    if ("rtcp-mux", None) not in section.attributes:
        raise SdpError("the audio m-line must offer rtcp-mux")
    if ("ice-lite", None) in session:
        raise SdpError("an offer from an ice-lite peer is not supported")
    directions = [name for name, _ in section.attributes if name in _DIRECTIONS]
    directions = directions or [name for name, _ in session if name in _DIRECTIONS] or ["sendrecv"]
    if directions != ["sendrecv"]:
        raise SdpError(f"the audio m-line must be sendrecv, got {' and '.join(directions)}")


def _fingerprint(levels: Sequence[Sequence[tuple[str, str | None]]]) -> tuple[str, str]:
    """The first level that has fingerprints counts; of several hashes the first known one."""
    for attributes in levels:
        values = _values(attributes, "fingerprint")
        known: dict[str, str] = {}
        for value in values:
            found = _FINGERPRINT.match(value)
            if found is None:
                raise SdpError("malformed fingerprint")
            name, digest = found[1].lower(), found[2].upper()
            if name in known:
                raise SdpError(f"two fingerprints by {name}")
            if name in _HASH_BYTES and len(digest) != 3 * _HASH_BYTES[name] - 1:
                raise SdpError(f"a fingerprint by {name} has {_HASH_BYTES[name]} bytes")
            known[name] = digest
        for name in _HASH_BYTES:
            if name in known:
                return name, known[name]
        if values:
            raise SdpError(f"no fingerprint by a supported hash ({', '.join(_HASH_BYTES)})")
    raise SdpError("the audio m-line has no fingerprint")


def _parameters(section: Section, payload_type: int) -> dict[str, int]:
    parameters: dict[str, int] = {}
    for value in section.values("fmtp"):
        number, _, rest = value.partition(" ")
        if number != str(payload_type):
            continue
        for part in rest.split(";"):
            name, _, text = part.strip().partition("=")
            if name not in _PARAMETERS:
                continue
            if not re.fullmatch(r"[0-9]{1,7}", text) or int(text) > _PARAMETERS[name] or name in parameters:
                raise SdpError(f"parameter {name} of Opus is malformed, out of range or given twice")
            parameters[name] = int(text)
    return parameters


def _candidates(levels: Sequence[Sequence[tuple[str, str | None]]]) -> tuple[Candidate, ...]:
    found: dict[str, Candidate] = {}
    count = 0
    for attributes in levels[:-1]:
        for value in _values(attributes, "candidate"):
            count += 1
            if count > MAX_CANDIDATES * 2:
                raise SdpError(f"more than {MAX_CANDIDATES} ICE candidates")
            candidate = parse_candidate(f"candidate:{value}")
            if candidate.usable:
                found.setdefault(candidate.text(), candidate)
    if len(found) > MAX_CANDIDATES:
        raise SdpError(f"more than {MAX_CANDIDATES} ICE candidates")
    return tuple(found.values())


def _one_of(levels: Sequence[Sequence[tuple[str, str | None]]], name: str) -> str:
    for attributes in levels:
        values = _values(attributes, name)
        if values:
            return values[0]
    raise SdpError(f"the audio m-line has no {name}")


def _values(attributes: Sequence[tuple[str, str | None]], name: str) -> list[str]:
    return [value or "" for found, value in attributes if found == name]
