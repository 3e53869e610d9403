from __future__ import annotations

import pytest

from seedvc_live.errors import SettingsError
from seedvc_live.media.uri import Address, parse_uri


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("in put!.wav", Address("file", path="in put!.wav")),
        ("a:b.wav", Address("file", path="a:b.wav")),
        ("file:/tmp/ä 'b'.wav", Address("file", path="/tmp/ä 'b'.wav")),
        ("file:///tmp/a%20b.wav", Address("file", path="/tmp/a b.wav")),
        ("rtp://127.0.0.1:5004", Address("rtp", host="127.0.0.1", port=5004)),
        ("rtp://[::1]:5004", Address("rtp", host="::1", port=5004)),
        (
            "udp://localhost:9?format=s16le&rate=16000&channels=2",
            Address("udp", host="localhost", port=9, parameters={"format": "s16le", "rate": 16000, "channels": 2}),
        ),
        ("test:sine?freq=220", Address("test", parameters={"freq": 220.0})),
        ("test:", Address("test")),
        ("mic:", Address("mic")),
        ("speaker:", Address("speaker")),
    ],
)
def test_addresses(text, address) -> None:
    assert parse_uri(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "http://example.org/a.wav",
        "rtp://127.0.0.1",
        "rtp://:5004",
        "rtp://127.0.0.1:70000",
        "rtp://127.0.0.1:0",
        "rtp://a!b:5004",
        "udp://127.0.0.1:5004?rate=fast",
        "udp://127.0.0.1:5004?format=mp3",
        "udp://127.0.0.1:5004?speed=9",
        "test:square",
    ],
)
def test_what_is_no_address_is_refused_in_one_line(text) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_uri(text)
    assert "\n" not in str(caught.value)
