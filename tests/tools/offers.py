"""Real offers, and seeded damage to them."""

from __future__ import annotations

import random
import re
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "data" / "offers"
OFFERS = {path.stem: path.read_bytes().decode() for path in sorted(FOLDER.glob("*.sdp"))}
"""By who made them: Chromium 156 (audio; audio, video and data), aiortc 1.16, GStreamer 1.22; and Firefox's form."""

_ICE = ("a=ice-ufrag:abcd", "a=ice-pwd:0123456789012345678901", "a=ice-options:trickle", "a=ice-lite", "a=ice-mismatch")
_NUMBERS = ("-1", "0", "65536", "4294967296", "99999999999999999999", "1e9", "0x7f", "", "NaN")
_STRANGE = (
    "\x00",
    "\x0b",
    "\x7f",
    "\ud800",
    "é",
    "\u2028",
    "%n%s",
    "a" * 5000,
    "../../etc",
    '"; rm',
    "\r",
    "\n\n",
    "\t",
)
_LINES = (
    "a=group:BUNDLE 0 0",
    "a=group:BUNDLE 7",
    "a=group:BUNDLE",
    "a=group:LS 0",
    "a=mid:0",
    "a=mid:" + "x" * 70000,
    "a=setup:passive",
    "a=setup:holdconn",
    "a=setup:active",
    "a=inactive",
    "a=recvonly",
    "a=rtcp-mux",
    "a=fingerprint:sha-256 00",
    "a=fingerprint:md5 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF",
    "a=rtpmap:96 opus/48000/2",
    "a=rtpmap:111 opus/48000",
    "a=rtpmap:72 opus/48000/2",
    "a=fmtp:111 useinbandfec=9",
    "a=candidate:1 1 UDP 1 224.0.0.1 9 typ host",
    "a=candidate:1 1 UDP 4294967296 127.0.0.1 9 typ host",
    "a=candidate:1 1 udp 5 example.invalid 9 typ host",
    "a=end-of-candidates",
    "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz",
    "m=audio 9 UDP/TLS/RTP/SAVPF 111",
    "m=audio 9 RTP/AVP 0",
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
    "m=audio 9 UDP/TLS/RTP/SAVPF " + " ".join(map(str, range(300))),
    "v=0",
    "v=1",
    "z=",
    "b=AS:0",
    "c=IN IP6 ::1",
    "k=clear:x",
)


def mutated(seed: int) -> str:
    """An offer with one to four kinds of damage; the same for the same seed."""
    draw = random.Random(seed)
    lines = draw.choice(list(OFFERS.values())).split("\r\n")
    for _ in range(draw.randint(1, 4)):
        lines = _damage(draw, lines) or ["v=0"]
    text = draw.choice(("\r\n", "\r\n", "\r\n", "\n")).join(lines)
    return text[: draw.randrange(len(text) + 1)] if draw.random() < 0.1 else text


def _damage(draw: random.Random, lines: list[str]) -> list[str]:
    at = draw.randrange(len(lines))
    line = lines[at]
    kind = draw.randrange(13)
    if kind == 0:
        return lines[:at] + lines[at + 1 :]
    if kind == 1:
        return [*lines[:at], line, line, *lines[at + 1 :]]
    if kind == 2:
        other = draw.randrange(len(lines))
        lines[at], lines[other] = lines[other], lines[at]
        return lines
    if kind == 3 and line:
        cut = draw.randrange(len(line))
        return [*lines[:at], line[:cut], *lines[at + 1 :]]
    if kind == 4:
        cut = draw.randrange(len(line) + 1)
        return [*lines[:at], line[:cut] + draw.choice(_STRANGE) + line[cut:], *lines[at + 1 :]]
    if kind == 5:
        return [*lines[:at], re.sub(r"[0-9]+", lambda _: draw.choice(_NUMBERS), line, count=1), *lines[at + 1 :]]
    if kind == 6:
        return [*lines[:at], draw.choice(_LINES), *lines[at:]]
    if kind == 7:
        # Credentials twice at session level and none below: a text that aborts GStreamer 1.22.
        first = next((n for n, text in enumerate(lines) if text.startswith("m=")), len(lines))
        twice = [draw.choice(_ICE)] * 2
        kept = [text for text in lines[first:] if not text.startswith("a=ice-") or draw.random() < 0.5]
        return [*lines[:first], *twice, *kept]
    if kind == 8:
        name = draw.choice(("a=fingerprint", "a=ice-ufrag", "a=ice-pwd", "a=setup", "a=mid", "a=rtcp-mux", "a=rtpmap"))
        return [text for text in lines if not text.startswith(name)]
    if kind == 9:
        return [re.sub(r"^a=group:BUNDLE.*", draw.choice(_LINES[:4]), text) for text in lines]
    if kind == 10:
        many = ["a=candidate:1 1 UDP 2122194687 127.0.0.1 9 typ host"] * draw.choice((10, 1000))
        return [*lines, *many]
    if kind == 11:
        other = draw.choice(list(OFFERS.values())).split("\r\n")
        return [*lines[:at], *other[draw.randrange(len(other)) :]]
    return [*lines[:at], line + "x" * draw.choice((1, 100_000, 1_000_000)), *lines[at + 1 :]]
