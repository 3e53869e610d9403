"""The whole server with real workers and an independent client: audio in, audio out."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from aiohttp import ClientSession

from seedvc_live.service.config import ServeConfig
from tests.tools.caller import Caller, share_of, tone
from tests.tools.heard import Heard
from tests.tools.server import asynctest, in_time, problem, running, until
from tests.tools.webrtc import RATE

FREQUENCIES = (500.0, 900.0, 1400.0, 2100.0)


def passthrough(folder: Path, **changes) -> ServeConfig:
    config = ServeConfig(voices=folder / "voices", engines=("passthrough",), workers=1)
    return replace(config, **changes)


def follow(caller: Caller) -> tuple[asyncio.Task[None], list[tuple[str, dict]]]:
    """Listen to a session's events, into a list."""
    heard: list[tuple[str, dict]] = []

    async def listen() -> None:
        async with caller.http.get(f"{caller.path}/events", timeout=None) as stream:
            name = ""
            async for line in stream.content:
                if line.startswith(b"event: "):
                    name = line[7:].decode().strip()
                elif line.startswith(b"data: "):
                    heard.append((name, json.loads(line[6:])))

    return asyncio.create_task(listen()), heard


@asynctest
async def test_a_conversation_over_http(tmp_path) -> None:
    async with running(passthrough(tmp_path)) as (http, service):
        in_time(service)
        caller = await Caller(http, tone(700, 30)).call()
        listening, events = follow(caller)
        heard = await caller.peer.hear(3.0)
        assert share_of(heard[RATE:], 700) > 0.5
        shown = await (await http.get(caller.path)).json()
        assert shown["state"] == "connected"
        assert shown["delay"]["total_ms"] == pytest.approx(
            sum(value for name, value in shown["delay"].items() if name != "total_ms"), abs=1.0
        )
        await until(lambda: len([1 for name, _ in events if name == "stats"]) >= 4)
        stats = [data for name, data in events if name == "stats"]
        assert stats[-1]["blocks"] > stats[0]["blocks"]
        assert stats[-1]["level_out_dbfs"] == pytest.approx(20 * np.log10(0.3 / np.sqrt(2)), abs=12)
        times = [data["time"] for data in stats]
        assert len(times) / max(times[-1] - times[0], 0.5) <= 6, "at most five a second"
        assert (await http.patch(caller.path, json={"bypass": True})).status == 200
        await problem(await http.patch(caller.path, json={"settings": {"block": 0.5}}), 409, "per-session-setting")
        assert (await http.delete(caller.path)).status == 204
        await asyncio.wait_for(listening, 10)
        assert events[-1] == ("state", {"state": "closed", "reason": "client", "message": ""})
        assert service.pool.ready[0].sessions == set()
        text = await (await http.get("/metrics")).text()
        values = dict(line.rsplit(" ", 1) for line in text.splitlines() if line[0] != "#")
        assert float(values["seedvc_live_blocks_total"]) >= stats[-1]["blocks"]
        assert float(values["seedvc_live_block_seconds_count"]) > 10
        assert float(values["seedvc_live_first_audio_seconds_count"]) == 1
        await caller.hang_up()


@asynctest
async def test_sessions_do_not_hear_each_other(tmp_path) -> None:
    async with running(passthrough(tmp_path, workers=2), 2) as (http, service):
        in_time(service)
        callers = [await Caller(http, tone(frequency, 120)).call() for frequency in FREQUENCIES]
        await asyncio.gather(*(caller.peer.hear(4.0) for caller in callers))
        for caller, frequency in zip(callers, FREQUENCIES, strict=True):
            heard = caller.peer.heard[2 * RATE :]
            shares = [share_of(heard, other) for other in FREQUENCIES]
            own = shares.pop(FREQUENCIES.index(frequency))
            # A busy machine conceals a block here and there, which spreads a tone; another's tone would stand out.
            assert own > 0.05
            assert max(shares) < own / 20, (own, shares)
        for caller in callers:
            await caller.hang_up()


@contextlib.asynccontextmanager
async def probe(folder: Path, http: ClientSession, seconds: float) -> AsyncIterator[asyncio.subprocess.Process]:
    """A client in a process of its own: what stalls this one does not stall what it says."""
    np.save(folder / "said.npy", tone(700, 10))
    command = ("-m", "tests.tools.probe", "--url", str(http._base_url), "--audio", folder / "said.npy", "--loopback")
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, "--out", folder / "heard.npz", "--seconds", str(seconds), "--engine", "passthrough",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert "begin" in json.loads(await asyncio.wait_for(process.stdout.readline(), 60))
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@asynctest
async def test_a_killed_worker_takes_only_its_own_sessions(tmp_path) -> None:
    async with running(passthrough(tmp_path, workers=2), 2) as (http, service):
        in_time(service)
        async with probe(tmp_path, http, 12.0) as process:
            (spared,) = service.sessions.all()
            caller = await Caller(http, tone(500, 60)).call()
            victim = service.sessions.get(caller.session["id"]).worker
            assert victim is not spared.worker
            listening, events = follow(caller)
            await caller.peer.hear(1.0)
            killed = time.monotonic()
            os.kill(victim.pid, signal.SIGKILL)
            await asyncio.wait_for(listening, 10)
            assert (events[-1][1]["state"], events[-1][1]["reason"]) == ("closed", "failed")
            await problem(await http.get(caller.path), 404, "unknown-session")
            await caller.peer.close()
            # The client comes back: the other worker has room.
            begin = time.monotonic()
            again = await Caller(http, tone(500, 60)).call()
            await again.peer.hear(0.2)
            print(f"a new session: first audio after {time.monotonic() - begin:.2f} s")
            assert service.sessions.get(again.session["id"]).worker is spared.worker
            await until(lambda: len(service.pool.ready) == 2, 60)
            await again.hang_up()
            said = json.loads(await asyncio.wait_for(process.stdout.readline(), 60))
            assert said["about"]["state"] == "connected"
            await asyncio.wait_for(process.wait(), 30)
    heard = Heard.load(tmp_path / "heard.npz")
    assert np.all(np.diff(heard.sequence) == 1), "no packet is missing"
    steps = np.diff(heard.stamps)
    gaps = [
        (round(float(when - killed), 2), int(step))
        for step, when in zip(steps, heard.arrivals[1:], strict=True)
        if step != steps[0] and when > killed - 1.0
    ]
    print(f"gaps, (seconds after the kill, samples): {gaps}")
    assert not [gap for gap in gaps if -0.5 < gap[0] < 0.5]
    lasted, passed = heard.seconds
    assert lasted == pytest.approx(passed, abs=0.3)


@asynctest
async def test_who_vanishes_frees_a_place(tmp_path) -> None:
    config = passthrough(tmp_path, capacity=2, negotiation_timeout=2.0, media_timeout=2.0)
    async with running(config) as (http, service):
        in_time(service)
        # One goes without a word, one never comes.
        caller = await Caller(http, tone(500, 60)).call()
        listening, events = follow(caller)
        await caller.peer.hear(1.0)
        lost = Caller(http, tone(500, 60))
        response = await http.post("/api/sessions", json={"sdp": await lost.peer.offer()})
        assert response.status == 201
        third = Caller(http, tone(500, 1))
        await problem(await http.post("/offer", json={"sdp": await third.peer.offer()}), 503, "full")
        await caller.peer.close()
        await asyncio.wait_for(listening, 20)
        assert events[-1][1]["reason"] in ("peer", "media-timeout")
        await until(lambda: len(service.sessions) == 0, 20)
        assert service.pool.ready[0].sessions == set()
        again = [await Caller(http, tone(500, 60)).call() for _ in range(2)]
        await asyncio.gather(*(one.peer.hear(0.5) for one in again))
        for one in [*again, lost, third]:
            await one.hang_up()
