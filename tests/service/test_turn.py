"""Media through a real TURN server only: coturn on the loopback, the server, and aiortc."""

from __future__ import annotations

import asyncio
import time
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import pytest

from seedvc_live.media.load import load_audio
from seedvc_live.service.config import ServeConfig
from seedvc_live.service.ice import Ice, IceUrl
from tests.tools.coturn import installed, turn_server
from tests.tools.heard import Heard
from tests.tools.probe import Probe, encode
from tests.tools.server import running

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not installed(), reason="coturn is not installed"),
]
SECRET = "a secret that only the servers know"


def said() -> np.ndarray:
    with as_file(files("seedvc_live") / "data" / "source.flac") as path:
        samples = load_audio(path, 48_000).samples
    return samples[: len(samples) // 960 * 960]


def config(folder: Path, url: str, secret: str, **changes: object) -> ServeConfig:
    ice = Ice(turn=(IceUrl.parse(url, ("turn", "turns")),), secret=secret)
    return ServeConfig(voices=folder / "voices", engines=("passthrough",), workers=1, ice=ice, **changes)  # type: ignore[arg-type]


def test_audio_flows_both_ways_through_the_relay(tmp_path: Path) -> None:
    words = said()

    async def run(url: str) -> tuple[str, str]:
        async with running(config(tmp_path, url, SECRET, relay_only=True)) as (http, _):
            probe = Probe(http, encode(words), relay=True, loopback=True)
            try:
                await probe.open(engine="passthrough")
                await asyncio.sleep(8.0)
                probe.save(tmp_path / "heard.npz")
                assert probe.connection is not None
                return str(probe.connection.localDescription.sdp), str(probe.session["sdp"])
            finally:
                await probe.close()

    with turn_server(tmp_path, SECRET) as url:
        offer, answer = asyncio.run(run(url))
    # Neither side knows any other way than through the relay.
    for description in (offer, answer):
        kinds = {line.split(" typ ")[1].split()[0] for line in description.splitlines() if "a=candidate" in line}
        assert kinds == {"relay"}
    # What was said came back: so it went there, and back.
    heard = Heard.load(tmp_path / "heard.npz")
    assert heard.seconds[0] > 6.0
    assert len(heard.delays(words, heard.begin + 1.0, time.monotonic())) >= 3
    log = (tmp_path / "turn.log").read_text()
    assert log.count("ALLOCATE processed, success") >= 2, "both sides have an allocation of their own"


def test_a_wrong_secret_is_a_clear_failure(tmp_path: Path) -> None:
    async def run(url: str) -> None:
        async with running(config(tmp_path, url, "another", relay_only=True)) as (http, _):
            probe = Probe(http, encode(said()[:48000]), loopback=True)
            begin = time.monotonic()
            try:
                # The server cannot get a relay, whatever the client can reach: it says so, at once.
                with pytest.raises(RuntimeError, match=r"502 /problems/no-address: .*secret"):
                    await probe.open(engine="passthrough")
            finally:
                await probe.close()
            assert time.monotonic() - begin < 15
            # No place is lost to it.
            async with http.get("/api/sessions") as response:
                assert (await response.json())["sessions"] == []

    with turn_server(tmp_path, SECRET) as url:
        asyncio.run(run(url))
    assert "ALLOCATE processed, success" not in (tmp_path / "turn.log").read_text()
