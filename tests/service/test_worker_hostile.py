"""Hostile offers and requests against a worker process: it answers each, and lives."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random

import numpy as np
import pytest

from seedvc_live.media.sdp import MAX_BYTES
from tests.tools.offers import OFFERS, mutated
from tests.tools.webrtc import Client
from tests.tools.worker import RefusedError, WorkerProcess

_AT_ONCE = 6
_DEADLINE = 0.4


async def works(worker: WorkerProcess, session: str) -> None:
    """A real peer still gets a session and its audio."""
    client = Client(np.zeros(4800))
    made = await worker.create(session, await client.offer())
    await client.accept(made["sdp"])
    await client.hear(0.3)
    await worker.ask("close", session=session)
    await client.close()


@pytest.mark.timeout(900)
def test_damaged_offers_are_refused_or_end_by_their_deadline(tmp_path, fuzz_count) -> None:
    outcomes: dict[str, int] = {}

    async def attack(worker: WorkerProcess, seed: int) -> None:
        session, offer = f"s{seed}", mutated(seed)
        # What is longer than the API's limit does not get as far as the worker.
        offer = offer[: MAX_BYTES // 4 + 1] if len(json.dumps(offer)) > MAX_BYTES * 3 else offer
        try:
            made, refused = await worker.create(session, offer, policy={"negotiation_timeout": _DEADLINE}), None
        except RefusedError as error:
            made, refused = None, error
        if made is None and refused.kind == "gone":  # the deadline came before the answer
            outcomes["deadline"] = outcomes.get("deadline", 0) + 1
            return
        if made is None:
            assert refused.kind == "bad-sdp", f"seed {seed}: {refused.kind}: {refused}"
            assert "\n" not in str(refused)
            outcomes["refused"] = outcomes.get("refused", 0) + 1
            return
        assert made["sdp"].startswith("v=0\r\n")
        if seed % 3 == 0:
            with contextlib.suppress(RefusedError):  # its deadline came first
                await worker.ask("close", session=session)
        ended = await worker.event(session, "state", state="closed")
        outcomes[ended["reason"]] = outcomes.get(ended["reason"], 0) + 1

    async def run() -> None:
        options = ("--engine", "passthrough", "--capacity", str(_AT_ONCE + 1))
        async with WorkerProcess(tmp_path / "log", *options) as worker:
            seeds = iter(range(fuzz_count))

            async def lane() -> None:
                for seed in seeds:
                    await attack(worker, seed)

            await asyncio.gather(*(lane() for _ in range(_AT_ONCE)))
            assert worker.process.returncode is None
            state = await worker.ask("ping")
            assert state["sessions"] == 0, "a place was leaked"
            await works(worker, "after")
        assert worker.process.returncode == 0

    asyncio.run(run())
    print(outcomes)
    assert sum(outcomes.values()) == fuzz_count
    assert outcomes["refused"] > fuzz_count / 4
    assert outcomes["deadline"] + outcomes["client"] > fuzz_count / 20
    log = (tmp_path / "log").read_text()
    assert "Traceback" not in log
    assert "CRITICAL" not in log


def test_requests_that_make_no_sense_are_answered(tmp_path) -> None:
    async def run() -> None:
        async with WorkerProcess(tmp_path / "log", "--engine", "passthrough", "--capacity", "1") as worker:
            wanted = {"op": "create", "session": "x", "sdp": OFFERS["chromium"], "engine": "passthrough"}
            expected = [
                ({"op": "nonsense"}, "settings"),
                ({"op": "create"}, "internal"),
                ({**wanted, "engine": "other"}, "engine"),
                ({**wanted, "engine": None}, "engine"),
                ({**wanted, "sdp": 7}, "bad-sdp"),
                ({**wanted, "settings": {"a": 1}}, "settings"),
                ({**wanted, "policy": {"a": 1}}, "settings"),
                ({**wanted, "policy": {"udp_ports": [9, 5]}}, "settings"),
                ({**wanted, "ice": {"turn": ["turn:x"]}}, "settings"),
                ({**wanted, "voice_file": "/no/such"}, "voice"),
                ({"op": "close", "session": "x"}, "gone"),
                ({"op": "update", "session": "x", "bypass": True}, "gone"),
                ({"op": "candidate", "session": "x", "candidate": "", "mline": 0}, "gone"),
            ]
            for request, kind in expected:
                with pytest.raises(RefusedError) as refused:
                    await worker.ask(**request)
                assert refused.value.kind == kind, request
            draw = random.Random(1)
            for _ in range(200):
                worker.writer.write(draw.randbytes(draw.randrange(300)).replace(b"\n", b" ") + b"\n")
            worker.writer.write(b'[1,2]\n{"id":1}\n{"op":5}\nnull\n')
            await works(worker, "after")
        assert worker.process.returncode == 0

    asyncio.run(run())


def test_candidates_are_checked_bounded_and_never_resolved(tmp_path) -> None:
    async def run() -> None:
        async with WorkerProcess(tmp_path / "log", "--engine", "passthrough") as worker:
            await worker.create("s", OFFERS["firefox"])
            good = "candidate:1 1 UDP 2122194687 127.0.0.1 {} typ host"
            for text in ("", good.format(9), good.format(9).replace("127.0.0.1", "x.local")):
                await worker.ask("candidate", session="s", candidate=text, mline=0)
            for text in ("candidate", "a=end", good.format(99999), good.format(9) + "\r\na=x"):
                with pytest.raises(RefusedError) as refused:
                    await worker.ask("candidate", session="s", candidate=text, mline=7)
                assert refused.value.kind == "bad-sdp"
            asked = [worker.ask("candidate", session="s", candidate=good.format(port)) for port in range(1000, 1100)]
            refused = [error for error in await asyncio.gather(*asked, return_exceptions=True) if error != {}]
            assert 30 < len(refused) < 40
            assert all("more than 64" in str(error) for error in refused)
            await works(worker, "after")

    asyncio.run(run())
