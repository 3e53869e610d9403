"""A server that is used for long, and badly: minutes, so they run by `make test-all`."""

from __future__ import annotations

import asyncio
import io
import json
import random
from pathlib import Path

import aiohttp
import pytest

from tests.tools.caller import Caller, tone
from tests.tools.offers import mutated
from tests.tools.server import asynctest, became_ready, children_of, served
from tests.tools.webrtc import only_loopback

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

CYCLES = 50
BOUNDS = {"descriptors": 4, "threads": 4, "megabytes": 12}
"""How much more a process may hold after the cycles than before them."""


def held_by(pid: int | str) -> dict[str, float]:
    """What a process holds."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    return {
        "descriptors": len(list(Path(f"/proc/{pid}/fd").iterdir())),
        "threads": int(status["Threads"]),
        "megabytes": int(status["VmRSS"].split()[0]) / 1024,
    }


async def no_sessions(http: aiohttp.ClientSession, seconds: float = 30.0) -> None:
    for _ in range(round(10 * seconds)):
        if not (await (await http.get("/api/sessions")).json())["sessions"]:
            return
        await asyncio.sleep(0.1)
    raise TimeoutError("sessions are left")


async def cycle(http: aiohttp.ClientSession, number: int) -> None:
    """One client: polite, gone without a word, gone while it negotiates, never come, or gone before the answer."""
    caller = Caller(http, tone(500, 10))
    kind = number % 5
    if kind in (0, 1):
        await caller.call()
        await caller.peer.hear(0.3)
        if kind == 0:
            await http.delete(caller.path)
        await caller.peer.close()
        return
    body = {"sdp": await caller.peer.offer()}
    if kind == 4:
        request = asyncio.ensure_future(http.post("/api/sessions", json=body))
        await asyncio.sleep(0.03)
        request.cancel()
        await asyncio.wait([request])
    else:
        response = await http.post("/api/sessions", json=body)
        caller.session = await response.json()
        assert response.status == 201, caller.session
        if kind == 2:
            await http.delete(caller.path)
    await caller.peer.close()


@asynctest
async def test_many_sessions_leave_nothing_behind(tmp_path) -> None:
    options = ("--negotiation-timeout", "2", "--media-timeout", "2", "--capacity", "16")
    async with served(tmp_path / "voices", *options) as (process, url), aiohttp.ClientSession(url) as http:
        await became_ready(http)
        processes = {"control": str(process.pid)}
        (processes["worker"],) = children_of(process.pid)
        # What is made once: threads of pools, plugins, caches.
        for number in range(20):
            await cycle(http, number)
        await no_sessions(http)
        await asyncio.sleep(4)
        before = {name: held_by(pid) for name, pid in processes.items()}
        for number in range(CYCLES):
            await cycle(http, number)
        await no_sessions(http)
        await asyncio.sleep(4)
        after = {name: held_by(pid) for name, pid in processes.items()}
        assert children_of(process.pid) == [processes["worker"]], "no worker was lost on the way"
        for name in processes:
            grown = {what: round(after[name][what] - before[name][what], 1) for what in BOUNDS}
            print(f"{name}: {before[name]} → {grown} after {CYCLES} sessions")
            for what, bound in BOUNDS.items():
                assert grown[what] <= bound, (name, what, before[name], after[name])


@asynctest
async def test_hostile_offers_through_the_server(tmp_path, fuzz_count) -> None:
    only_loopback()
    options = ("--negotiation-timeout", "1", "--capacity", "64")
    statuses: dict[int, int] = {}
    draw = random.Random(0)
    async with served(tmp_path / "voices", *options) as (process, url), aiohttp.ClientSession(url) as http:
        await became_ready(http)
        children = children_of(process.pid)
        for seed in range(fuzz_count):
            body = json.dumps({"sdp": mutated(seed), "type": "offer"}).encode()
            for _ in range(100):
                path = draw.choice(("/api/sessions", "/offer"))
                response = await http.post(path, data=io.BytesIO(body), headers={"Content-Type": "application/json"})
                if response.status != 503:
                    break
                assert (await response.json(content_type=None))["type"] == "/problems/full"
                await asyncio.sleep(0.3)
            assert response.status in (200, 201) or 400 <= response.status < 500, (seed, await response.text())
            if response.status >= 400:
                assert response.content_type == "application/problem+json"
            statuses[response.status] = statuses.get(response.status, 0) + 1
        await no_sessions(http)
        assert children_of(process.pid) == children, "no worker was lost"
        caller = await Caller(http, tone(500, 10)).call()
        await caller.peer.hear(0.5)
        await caller.hang_up()
    print(f"{fuzz_count} offers: {statuses}")
    assert statuses.get(422, 0) > fuzz_count // 4
