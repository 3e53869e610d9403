from __future__ import annotations

import base64
import hashlib
import hmac
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedvc_live.errors import SettingsError
from seedvc_live.service.ice import Ice, IceUrl

TURN = ("turn", "turns")


@pytest.mark.parametrize(
    ("text", "browser", "gstreamer"),
    [
        ("turn:relay.example", "turn:relay.example:3478", "turn://relay.example:3478"),
        ("turns:relay.example", "turns:relay.example:5349", "turns://relay.example:5349"),
        ("turn://h:99?transport=tcp", "turn:h:99?transport=tcp", "turn://h:99?transport=tcp"),
        ("turn:[2001:db8::1]:3478", "turn:[2001:db8::1]:3478", "turn://[2001:db8::1]:3478"),
    ],
)
def test_addresses_in_the_forms_that_browsers_and_gstreamer_take(text, browser, gstreamer) -> None:
    url = IceUrl.parse(text, TURN)
    assert url.for_browser() == browser
    assert url.for_gstreamer() == gstreamer


@pytest.mark.parametrize(
    "text",
    ["", "turn:", "http://x", "stun:x", "turn:x:0", "turn:x:70000", "turn:u:p@x", "turn:x?transport=sctp", "turn:x\n",
     "turn:x?transport=udp&x=1", "turn:x/path"],
)  # fmt: skip
def test_other_addresses_are_refused(text) -> None:
    with pytest.raises(SettingsError, match="TURN"):
        IceUrl.parse(text, TURN)


def test_stun_has_no_transport() -> None:
    with pytest.raises(SettingsError, match="transport"):
        IceUrl.parse("stun:x?transport=udp", ("stun", "stuns"))


@given(secret=st.text(min_size=1), now=st.floats(1.6e9, 4e9))
def test_credentials_are_those_of_coturns_rest_scheme(secret, now) -> None:
    ice = Ice(turn=(IceUrl.parse("turn:h", TURN),), secret=secret, ttl=600)
    username, password = ice.credentials(now)
    expiry, user = username.split(":")
    assert int(expiry) == int(now) + 600
    assert len(user) >= 12
    digest = hmac.new(secret.encode(), username.encode(), hashlib.sha1).digest()
    assert base64.b64decode(password) == digest


def test_each_request_gets_its_own_credentials() -> None:
    ice = Ice(turn=(IceUrl.parse("turn:h", TURN),), secret="s")
    assert len({str(ice.for_browser(0.0)) for _ in range(20)}) == 20


def test_the_server_side_is_percent_encoded_and_whole() -> None:
    ice = Ice((IceUrl.parse("stun:s", ("stun",)),), (IceUrl.parse("turn:h?transport=udp", TURN),), "secret")
    for moment in range(200):
        urls = ice.for_worker(1e9 + moment)
        assert urls["stun"] == ["stun://s:3478"]
        parts = urlsplit(urls["turn"][0])
        assert (parts.hostname, parts.port, parts.query) == ("h", 3478, "transport=udp")
        user, colon, password = parts.netloc.rpartition("@")[0].partition(":")
        assert colon
        assert not set(user + password) & set(":/+=@")
        digest = hmac.new(b"secret", unquote(user).encode(), hashlib.sha1).digest()
        assert base64.b64decode(unquote(password)) == digest


def test_without_turn_nothing_is_made_up() -> None:
    assert Ice().for_browser(0.0) == []
    assert Ice().for_worker(0.0) == {"stun": [], "turn": []}


def test_the_secret_is_not_shown() -> None:
    assert "hush" not in repr(Ice(secret="hush"))
