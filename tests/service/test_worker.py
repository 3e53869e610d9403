"""The media worker as a process of its own, with aiortc as the browser."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
from itertools import pairwise

import numpy as np
import pytest

from tests.tools.webrtc import RATE, Client, offer_of_nobody
from tests.tools.worker import RefusedError, WorkerProcess


def peak_hertz(samples: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum)) * RATE / len(samples)


def test_audio_goes_through_a_session_and_comes_back(tmp_path) -> None:
    async def run() -> None:
        async with WorkerProcess(tmp_path / "log", "--engine", "passthrough") as worker:
            assert worker.facts["engines"]["passthrough"]["sample_rate"] == RATE
            client = Client(0.5 * np.sin(2 * np.pi * 1000 * np.arange(10 * RATE) / RATE))
            made = await worker.create("one", await client.offer(), policy={"playout_ms": 200})
            await client.accept(made["sdp"])
            await worker.event("one", "state", state="connected")
            heard = await client.hear(4.0)
            first = await worker.event("one", "first-audio")
            stats = await worker.event("one", "stats", overload_step="full")
            for _ in range(3):
                stats = await worker.ask("stats", session="one")
            await worker.ask("close", session="one")
            await worker.event("one", "state", state="closed", reason="client")
            with pytest.raises(RefusedError) as gone:
                await worker.ask("stats", session="one")
            assert gone.value.kind == "gone"
            await client.close()

            assert made["delay"]["playout_ms"] == 200
            parts = [made["delay"][name] for name in ("algorithmic_ms", "compute_ms", "playout_ms", "jitter_buffer_ms")]
            assert made["delay"]["total_ms"] == pytest.approx(sum(parts), abs=0.3)
            assert 0 < first["seconds"] < 5
            last = heard[-RATE:]
            assert abs(peak_hertz(last) - 1000) < 12
            assert np.sqrt(2 * np.mean(last**2)) == pytest.approx(0.5, rel=0.1)
            # Browsers conceal what is not exactly one frame after the last. Only where this machine stood still
            # may a stamp pass over whole frames, and then time has passed as well.
            assert len(client.packets) > 300
            jumps = 0
            for (number, stamp, arrival), (after, later, arrived) in pairwise(client.packets):
                assert (after - number) % 2**16 == 1
                step = (later - stamp) % 2**32
                assert step % 480 == 0
                if step != 480:
                    jumps += 1
                    assert arrived - arrival > 0.5 * step / RATE
            assert jumps <= 2
            assert stats["level_out_dbfs"] == pytest.approx(-9.0, abs=0.5)
            assert stats["lost_packets"] == 0
            assert stats["blocks"] > 100
            assert {"delay", "block_seconds", "queue_ms", "rtt_ms", "loss", "settings"} <= set(stats)

    asyncio.run(run())


async def connected(worker: WorkerProcess, session: str, samples: np.ndarray, **values) -> Client:
    """A client in a session, connected."""
    client = Client(samples)
    made = await worker.create(session, await client.offer(), **values)
    await client.accept(made["sdp"])
    await worker.event(session, "state", state="connected")
    return client


def sine(hertz: float, seconds: float) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)


def test_every_end_of_a_session_is_told_with_its_reason_and_frees_the_place(tmp_path) -> None:
    async def run() -> None:
        async with WorkerProcess(tmp_path / "log", "--engine", "passthrough", "--capacity", "1") as worker:

            async def ended(session: str, reason: str) -> None:
                await worker.event(session, "state", state="closed", reason=reason)
                assert (await worker.ask("ping"))["sessions"] == 0

            # The peer goes away in order.
            client = await connected(worker, "peer", sine(440, 1))
            with pytest.raises(RefusedError) as full:
                await worker.create("second", await offer_of_nobody())
            assert full.value.kind == "full"
            await client.close()
            await ended("peer", "peer")
            # Nobody ever connects.
            await worker.create("deadline", await offer_of_nobody(), policy={"negotiation_timeout": 0.5})
            await ended("deadline", "deadline")
            # The peer is connected, but sends nothing.
            client = await connected(worker, "silent", sine(440, 1), policy={"media_timeout": 1.0})
            await client.connection.getSenders()[0].stop()
            await ended("silent", "media-timeout")
            await client.close()
            # Closed while it is negotiated.
            offer = await offer_of_nobody()
            creating = asyncio.ensure_future(worker.create("early", offer))
            while not (await worker.ask("ping"))["sessions"]:
                pass
            await closed_somehow(worker, "early", creating)
            assert (await worker.ask("ping"))["sessions"] == 0
            # A worker that is drained takes no more, but keeps what it has.
            client = await connected(worker, "last", sine(440, 1))
            await worker.ask("drain")
            with pytest.raises(RefusedError) as drained:
                await worker.create("more", offer)
            assert drained.value.kind == "full"
            assert (await worker.ask("stats", session="last"))["session"] == "last"
            # A worker that is told to end says so.
            worker.process.send_signal(signal.SIGTERM)
            await ended_by("shutdown", worker, "last")
            assert await asyncio.wait_for(worker.process.wait(), 10) == 0
            await client.close()

    asyncio.run(run())


async def closed_somehow(worker: WorkerProcess, session: str, creating: asyncio.Future) -> None:
    """Close a session that may or may not have been answered yet."""
    while True:
        with contextlib.suppress(RefusedError):  # it is not made yet
            await worker.ask("close", session=session)
            break
    answer = (await asyncio.gather(creating, return_exceptions=True))[0]
    assert isinstance(answer, dict) or answer.kind == "gone"


async def ended_by(reason: str, worker: WorkerProcess, session: str) -> None:
    await worker.event(session, "state", state="closed", reason=reason)


def test_the_worker_ends_when_the_control_process_is_gone(tmp_path) -> None:
    async def run() -> None:
        async with WorkerProcess(tmp_path / "log", "--engine", "passthrough") as worker:
            client = await connected(worker, "one", sine(440, 1))
            worker.writer.close()
            assert await asyncio.wait_for(worker.process.wait(), 10) == 0
            await client.close()

    asyncio.run(run())


def test_four_sessions_at_once_never_hear_each_other(tmp_path) -> None:
    """Each speaks a tone of its own; a switch to bypass and back leaves no gap in any."""

    async def run() -> None:
        async with WorkerProcess(tmp_path / "log", "--engine", "passthrough", "--capacity", "4") as worker:
            tones = [500.0, 700.0, 900.0, 1100.0]
            policy = {"playout_ms": 500}  # for busy machines
            clients = [await connected(worker, f"s{hz}", sine(hz, 100), policy=policy) for hz in tones]
            for client in clients:
                await client.hear(1.5)
            for on in (True, False):
                for hertz in tones:
                    assert (await worker.ask("update", session=f"s{hertz}", bypass=on))["bypass"] is on
                await asyncio.sleep(0.3)
            with pytest.raises(RefusedError) as fixed:
                await worker.ask("update", session="s500.0", settings={"block": 0.5})
            assert (fixed.value.kind, fixed.value.field) == ("per-session", "block")
            with pytest.raises(RefusedError) as wrong:
                await worker.ask("update", session="s500.0", settings={"colour": 1})
            assert (wrong.value.kind, wrong.value.field) == ("settings", "colour")
            for hertz, client in zip(tones, clients, strict=True):
                for _ in range(20):
                    heard = (await client.hear(len(client.heard) / RATE + 1.2))[-RATE:]
                    if np.sqrt(np.mean(heard**2)) > 0.25:
                        break
                spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard)))) ** 2
                own = spectrum[int(hertz) - 25 : int(hertz) + 25].sum()
                others = [spectrum[int(other) - 25 : int(other) + 25].sum() for other in tones if other != hertz]
                assert own > 1e6
                assert max(others) < 1e-2 * own
            for client in clients:
                await client.close()

    asyncio.run(run())


def test_candidates_keep_to_the_port_range_and_name_the_public_address(tmp_path) -> None:
    async def run() -> None:
        async with WorkerProcess(tmp_path / "log", "--engine", "passthrough") as worker:
            offer = await offer_of_nobody()
            policy = {"udp_ports": [41000, 41010], "public_ip": "203.0.113.7"}
            made = await worker.create("ports", offer, policy=policy)
            found = re.findall(r"^a=candidate:\S+ 1 UDP \d+ (\S+) (\d+) typ host", made["sdp"], re.M)
            assert found
            assert all(41000 <= int(port) <= 41010 for _, port in found)
            private = [address for address, _ in found if address.startswith(("10.", "172.", "192.168."))]
            assert not private
            with pytest.raises(RefusedError) as relay:
                await worker.create("relay", offer, policy={"relay_only": True})
            assert relay.value.field == "relay_only"

    asyncio.run(run())


@pytest.mark.timeout(300)
def test_fifty_connections_leave_nothing_behind(tmp_path) -> None:
    """Every third is ended while it is negotiated, every third by the peer, every third by us."""

    async def cycle(worker: WorkerProcess, number: int) -> None:
        session = f"s{number}"
        if number % 3 == 0:
            creating = asyncio.ensure_future(worker.create(session, await offer_of_nobody()))
            await asyncio.sleep(0.01 * (number % 7))
            await closed_somehow(worker, session, creating)
            return
        client = await connected(worker, session, sine(440, 0.1))
        if number % 3 == 1:
            await client.close()
            await worker.event(session, "state", state="closed", reason="peer")
        else:
            await client.hear(0.1)
            await worker.ask("close", session=session)
            await client.close()

    async def settled(worker: WorkerProcess) -> dict[str, int]:
        await asyncio.sleep(2.0)
        assert (await worker.ask("ping"))["ending"] == 0
        return worker.footprint()

    async def run() -> None:
        async with WorkerProcess(tmp_path / "log", "--engine", "passthrough") as worker:
            for number in range(6):
                await cycle(worker, number)
            before = await settled(worker)
            for number in range(6, 56):
                await cycle(worker, number)
            after = await settled(worker)
            print(before, after)
            assert after["fds"] <= before["fds"] + 2
            assert after["threads"] <= before["threads"] + 8  # pools of threads grow to their size
            assert after["rss"] <= before["rss"] + 8 * 1024
            assert (await worker.ask("ping"))["sessions"] == 0

    asyncio.run(run())
