"""The whole server with real workers and an independent client: audio in, audio out."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from seedvc_live.service.config import ServeConfig
from tests.tools.caller import Caller, share_of, tone
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
async def test_sessions_do_not_hear_each_other_and_a_killed_worker_takes_only_its_own(tmp_path) -> None:
    async with running(passthrough(tmp_path, workers=2, capacity=4)) as (http, service):
        await until(lambda: len(service.pool.ready) == 2, 60)
        in_time(service)
        callers = [await Caller(http, tone(frequency, 120)).call() for frequency in FREQUENCIES]
        followed = [follow(caller) for caller in callers]
        await asyncio.gather(*(caller.peer.hear(4.0) for caller in callers))
        for caller, frequency in zip(callers, FREQUENCIES, strict=True):
            heard = caller.peer.heard[2 * RATE :]
            shares = [share_of(heard, other) for other in FREQUENCIES]
            # A busy machine conceals a block here and there, which spreads a tone; another's tone would stand out.
            assert shares[FREQUENCIES.index(frequency)] > 0.5
            assert sum(shares) - max(shares) < 0.01, shares

        workers = [service.sessions.get(caller.session["id"]).worker for caller in callers]
        victim = workers[0]
        hit = [caller for caller, worker in zip(callers, workers, strict=True) if worker is victim]
        spared = [caller for caller in callers if caller not in hit]
        assert len(hit) == len(spared) == 2
        os.kill(victim.pid, signal.SIGKILL)
        begin = time.monotonic()
        await asyncio.wait_for(asyncio.gather(*(followed[callers.index(caller)][0] for caller in hit)), 10)
        for caller in hit:
            assert followed[callers.index(caller)][1][-1][1]["reason"] == "failed"
            await caller.hang_up()
        for caller in spared:
            assert (await (await http.get(caller.path)).json())["state"] == "connected"
            await until(lambda c=caller: c.peer.packets[-1][2] > begin + 1.0)
            since = next(n for n, packet in enumerate(caller.peer.packets) if packet[2] > begin - 1.0)
            numbers, stamps, _ = np.transpose(caller.peer.packets[since:]).astype(np.int64)
            assert np.all(np.diff(numbers) % 65536 == 1), "no packet is missing"
            steps = np.diff(stamps) % 2**32
            assert steps[0] in (480, 960)
            gaps = [(number, int(step)) for number, step in enumerate(steps) if step != steps[0]]
            assert not gaps, f"gaps in the audio, (packet, samples): {gaps}"
            assert share_of(caller.peer.heard[-RATE:], FREQUENCIES[callers.index(caller)]) > 0.5
        # The client comes back: the other worker has room.
        begin = time.monotonic()
        again = await Caller(http, tone(FREQUENCIES[0], 60)).call()
        await again.peer.hear(0.2)
        print(f"a new session: first audio after {time.monotonic() - begin:.2f} s")
        await until(lambda: len(service.pool.ready) == 2, 60)
        for caller in [*spared, again]:
            await caller.hang_up()


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
