"""Offers: real ones are understood, everything else is refused in one line, and what goes on is our own text."""

from __future__ import annotations

import ipaddress
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedvc_live.errors import NegotiationError, SdpError
from seedvc_live.media.candidates import Candidate, parse_candidate
from seedvc_live.media.sdp import MAX_BYTES, Offer, parse_offer
from seedvc_live.media.sdp_answer import Local, answer_text, read_local, with_public_address
from tests.tools.offers import OFFERS, mutated

CHROMIUM = OFFERS["chromium"]
EXPECTED = {
    "aiortc": (96, False, "0", 1),
    "chromium": (111, True, "0", 4),
    "chromium_video_data": (111, True, "0", 4),
    "firefox": (109, True, "0", 1),
    "gstreamer": (97, False, "audio0", 2),
}
REBUILT = re.compile(
    r"""v=0
o=- 1 1 IN IP4 127\.0\.0\.1
s=-
t=0 0
a=group:BUNDLE 0
a=ice-options:trickle
m=audio 9 UDP/TLS/RTP/SAVPF (?P<number>\d{2,3})
c=IN IP4 0\.0\.0\.0
a=mid:0
a=sendrecv
a=rtcp-mux
a=ice-ufrag:[A-Za-z0-9+/]{4,256}
a=ice-pwd:[A-Za-z0-9+/]{22,256}
a=fingerprint:sha-(256|384|512) ([0-9A-F]{2}:)+[0-9A-F]{2}
a=setup:(actpass|active)
a=rtpmap:(?P=number) opus/48000/2
(a=fmtp:(?P=number) ([a-z]+=\d{1,6};?)+
)?(a=candidate:[A-Za-z0-9+/]+ 1 UDP \d+ [0-9a-f.:]+ \d+ typ (host|srflx|prflx|relay)( raddr [0-9a-f.:]+ rport \d+)?
)*\Z"""
)


def changed(old: str, new: str, count: int = 1, text: str = CHROMIUM) -> str:
    assert old in text
    return text.replace(old, new, count)


@pytest.mark.parametrize("name", OFFERS)
def test_real_offers_are_understood(name) -> None:
    offer = parse_offer(OFFERS[name])
    assert (offer.payload_type, offer.inband_fec, offer.mid, len(offer.candidates)) == EXPECTED[name]
    assert offer.bundled
    assert REBUILT.match(offer.text().replace("\r\n", "\n"))
    # What is written is understood as the same.
    again = parse_offer(offer.text())
    for part in ("payload_type", "ufrag", "password", "fingerprint", "setup", "parameters", "candidates"):
        assert getattr(again, part) == getattr(offer, part)
    assert again.text() == offer.text()


@given(st.integers(0, 2**32))
def test_damaged_offers_are_refused_in_one_line_or_written_anew(seed) -> None:
    try:
        offer = parse_offer(mutated(seed))
    except SdpError as refused:
        offer, message = None, str(refused)
    if offer is None:
        assert "\n" not in message
        assert len(message) < 200
        return
    assert REBUILT.match(offer.text().replace("\r\n", "\n"))
    answer = answer_text(offer, LOCAL, session_id=1)
    assert len(re.findall("^m=", answer, re.M)) == len(offer.media)
    assert answer.isascii()


@given(st.text() | st.binary().map(lambda data: data.decode("latin-1")))
def test_any_text_is_refused_in_one_line(text) -> None:
    with pytest.raises(SdpError, match=r"\A[^\n]+\Z"):
        parse_offer("v=0\r\n" + text)


REFUSED = {
    "empty": ("", "x=value"),
    "not text": (7, "must be text"),
    "too long": (CHROMIUM + "a=x:" + "y" * MAX_BYTES, "at most 65536"),
    "lone surrogate": (changed("s=-", "s=\ud800"), "UTF-8"),
    "control character": (changed("s=-", "s=\x01"), "line 3"),
    "no version": (CHROMIUM.replace("v=0\r\n", ""), "begins with v=0"),
    "two origins": (changed("s=-\r\n", "s=-\r\no=- 1 1 IN IP4 0.0.0.0\r\n"), "exactly one line o="),
    "no m-line": (CHROMIUM[: CHROMIUM.index("m=")], "m-lines, got 0"),
    "four m-lines": (CHROMIUM + "m=video 0 UDP/TLS/RTP/SAVPF 96\r\n" * 3, "got 4"),
    "two audio": (CHROMIUM + CHROMIUM[CHROMIUM.index("m=") :].replace("mid:0", "mid:1"), "exactly one audio"),
    "same mid twice": (CHROMIUM + "m=video 0 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\n", "same mid"),
    "no mid": (re.sub("a=mid.*\r\n|a=group.*\r\n", "", CHROMIUM), "no mid"),
    "BUNDLE of nobody": (changed("BUNDLE 0", "BUNDLE 0 1"), "BUNDLE"),
    "two BUNDLEs": (changed("a=group:BUNDLE 0\r\n", "a=group:BUNDLE 0\r\na=group:BUNDLE 0\r\n"), "more than one"),
    "plain RTP": (changed("UDP/TLS/RTP/SAVPF", "RTP/AVP"), "protocol is RTP/AVP"),
    "no Opus": (changed("opus/48000/2", "opus/8000/1"), "does not offer opus"),
    "disabled": (changed("m=audio 41634", "m=audio 0"), "disabled"),
    "no audio": (changed("m=audio", "m=video"), "no audio m-line"),
    "RTCP's payload types": (changed("111 opus", "72 opus").replace("SAVPF 111", "SAVPF 72"), "cannot be"),
    "mapped twice": (changed("a=rtpmap:111", "a=rtpmap:111 vp8/90000\r\na=rtpmap:111"), "mapped twice"),
    "listens only": (changed("a=sendrecv", "a=recvonly"), "sendrecv, got recvonly"),
    "no rtcp-mux": (changed("a=rtcp-mux\r\n", ""), "rtcp-mux"),
    "ufrag twice": (changed("a=ice-ufrag:UcfN\r\n", "a=ice-ufrag:UcfN\r\n" * 2), "ice-ufrag is given twice"),
    "ufrag twice above": (
        changed("a=group", "a=ice-ufrag:abcd\r\na=ice-ufrag:abcd\r\na=group"),
        "ice-ufrag is given twice",
    ),
    "no ufrag": (changed("a=ice-ufrag:UcfN\r\n", ""), "no ice-ufrag"),
    "strange ufrag": (changed("UcfN", "U;fN"), "credentials"),
    "short password": (re.sub("(a=ice-pwd:.{21}).*\r", r"\1\r", CHROMIUM), "credentials"),
    "no fingerprint": (re.sub("a=fingerprint.*\r\n", "", CHROMIUM), "no fingerprint"),
    "short fingerprint": (changed(":10:E5:C7", ""), "32 bytes"),
    "weak hash": (changed("sha-256", "md5"), "supported hash"),
    "hash twice": (re.sub("(a=fingerprint.*\r\n)", r"\1\1", CHROMIUM), "two fingerprints"),
    "passive": (changed("actpass", "passive"), "actpass or active"),
    "ice-lite": (changed("a=group", "a=ice-lite\r\na=group"), "ice-lite"),
    "bad parameter": (changed("useinbandfec=1", "useinbandfec=2"), "useinbandfec"),
    "bad candidate": (changed("typ host", "typ toast"), "not an ICE candidate"),
    "many candidates": (
        CHROMIUM + "".join(f"a=candidate:1 1 UDP {n} 127.0.0.1 9 typ host\r\n" for n in range(1, 80)),
        "more than 64",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_wrong_is_said(name) -> None:
    text, message = REFUSED[name]
    with pytest.raises(SdpError, match=message):
        parse_offer(text)


def test_of_several_hashes_the_first_supported_one_is_used() -> None:
    offer = parse_offer(OFFERS["aiortc"])
    assert OFFERS["aiortc"].count("a=fingerprint") == 3
    assert offer.fingerprint[0] == "sha-256"


def test_transport_of_a_bundled_audio_line_may_stand_in_the_first_line_or_above() -> None:
    lines = OFFERS["firefox"].split("\r\n")
    above = [line for line in lines if re.match("a=(ice-ufrag|ice-pwd|setup)", line)]
    below = [line for line in lines if line not in above]
    first = next(number for number, line in enumerate(below) if line.startswith("m="))
    assert parse_offer("\r\n".join([*below[:first], *above, *below[first:]])).ufrag == "2f1e9c3a"
    data = ["m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "a=mid:d", *above]
    tagged = "\r\n".join([*below[:first], *data, *below[first:]]).replace("BUNDLE 0", "BUNDLE d 0")
    offer = parse_offer(tagged)
    assert (offer.audio, offer.setup) == (1, "actpass")


LOCAL = Local(
    "abcd", "p" * 22, "sha-256 AA", "active", 7,
    (Candidate("1", 1, "udp", 5, "10.0.0.1", 4000, "host"), Candidate("2", 1, "udp", 4, "127.0.0.1", 4001, "host")),
)  # fmt: skip


def test_the_answer_rejects_what_is_not_the_audio_and_keeps_the_order() -> None:
    text = answer_text(parse_offer(OFFERS["chromium_video_data"]), LOCAL, session_id=9, ptime=10)
    audio, video, data = text.split("m=")[1:]
    assert audio.startswith("audio 9 UDP/TLS/RTP/SAVPF 111\r\n")
    assert video.startswith("video 0 UDP/TLS/RTP/SAVPF 96 ")
    assert data.startswith("application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n")
    assert "a=group:BUNDLE 0\r\n" in text
    assert all(f"a=mid:{mid}\r\n" in part for mid, part in enumerate((audio, video, data)))
    assert "a=candidate:1 1 UDP 5 10.0.0.1 4000 typ host\r\n" in audio
    assert "a=ptime:10\r\n" in audio


def test_what_webrtcbin_answered_is_read_and_a_refusal_noticed() -> None:
    media = (
        "m=audio 9 UDP/TLS/RTP/SAVPF 96\r\na=sendrecv\r\na=ice-ufrag:u\r\na=ice-pwd:p\r\na=fingerprint:sha-256 A\r\n"
    )
    media += "a=setup:active\r\na=ssrc:5 cname:x\r\na=candidate:1 1 UDP 5 10.0.0.1 4 typ host\r\n"
    media += "a=candidate:1 1 TCP 5 10.0.0.1 4 typ host tcptype active\r\n"
    local = read_local("v=0\r\n" + media)
    assert (local.ufrag, local.setup, local.ssrc, len(local.candidates)) == ("u", "active", 5, 1)
    for old, new in (("sendrecv", "recvonly"), ("audio 9", "audio 0"), ("a=ice-pwd:p\r\n", "")):
        with pytest.raises(NegotiationError):
            read_local("v=0\r\n" + media.replace(old, new))


def test_the_public_address_takes_the_place_of_private_ones() -> None:
    relayed = Candidate("3", 1, "udp", 3, "10.0.0.9", 5000, "relay", ("0.0.0.0", 9))
    mapped = with_public_address((*LOCAL.candidates, relayed), "203.0.113.5")
    assert [candidate.address for candidate in mapped] == ["203.0.113.5", "127.0.0.1", "10.0.0.9"]
    assert mapped[0].port == 4000


words = st.from_regex(r"[A-Za-z0-9+/]{1,32}", fullmatch=True)
addresses = st.ip_addresses().map(str) | st.just("8f0ee8a3.local") | st.just("a.example")


@given(
    words, st.integers(1, 256), st.sampled_from(["udp", "tcp", "UDP"]), st.integers(1, 2**32 - 1), addresses,
    st.integers(0, 65535), st.sampled_from(["host", "srflx", "prflx", "relay"]), st.ip_addresses(),
)  # fmt: skip
def test_candidates_are_understood_and_written_as_the_same(
    foundation, component, transport, priority, address, port, kind, related
) -> None:
    text = f"candidate:{foundation} {component} {transport} {priority} {address} {port} typ {kind}"
    text += "" if kind == "host" else f" raddr {related} rport 9"
    candidate = parse_candidate(text + " generation 0 network-cost 50")
    assert parse_candidate(candidate.text()) == candidate
    assert parse_candidate("a=" + text) == candidate
    if candidate.usable:
        assert component == 1
        assert transport.lower() == "udp"
        assert not ipaddress.ip_address(candidate.address).is_multicast


@pytest.mark.parametrize(
    "text",
    [
        "", "candidate:", "candidate:1 1 UDP 1 1.2.3.4 9", "candidate:1 0 UDP 1 1.2.3.4 9 typ host",
        "candidate:1 1 UDP 0 1.2.3.4 9 typ host", "candidate:1 1 UDP 1 1.2.3.4 65536 typ host",
        "candidate:1 1 UDP 1 1.2.3.4 9 typ host\r\na=x:y", "candidate:1 1 UDP 1 1.2.3.4 9 typ host odd",
        "candidate:1 1 UDP 1 fe80::1%eth0 9 typ host", "end-of-candidates", "candidate:" + "1" * 600, None,
    ],
)  # fmt: skip
def test_what_is_no_candidate_is_refused(text) -> None:
    with pytest.raises(SdpError):
        parse_candidate(text)


def test_an_offer_says_what_it_is() -> None:
    assert isinstance(parse_offer(CHROMIUM), Offer)
    assert parse_offer(changed("minptime=10;useinbandfec=1", "x-y=z")).parameters == {}
