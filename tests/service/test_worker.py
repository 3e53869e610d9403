"""The media worker as a process of its own, with aiortc as the browser."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import numpy as np
import pytest

from tests.tools.webrtc import RATE, Client
from tests.tools.worker import RefusedError, WorkerProcess


def peak_hertz(samples: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum)) * RATE / len(samples)


def test_audio_goes_through_a_session_and_comes_back(tmp_path) -> None:
    async def run() -> None:
        async with WorkerProcess(tmp_path / "log", "--engine", "passthrough") as worker:
            assert worker.facts["engines"]["passthrough"]["sample_rate"] == RATE
            client = Client(0.5 * np.sin(2 * np.pi * 1000 * np.arange(10 * RATE) / RATE))
            made = await worker.create("one", await client.offer(), policy={"playout_ms": 60})
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

            assert made["delay"]["playout_ms"] == 60
            parts = [made["delay"][name] for name in ("algorithmic_ms", "compute_ms", "playout_ms", "jitter_buffer_ms")]
            assert made["delay"]["total_ms"] == pytest.approx(sum(parts), abs=0.3)
            assert 0 < first["seconds"] < 5
            last = heard[-RATE:]
            assert abs(peak_hertz(last) - 1000) < 12
            assert np.sqrt(2 * np.mean(last**2)) == pytest.approx(0.5, rel=0.1)
            # Browsers conceal what is not exactly one frame after the last.
            stamps = [stamp for _, stamp, _ in client.packets]
            assert len(stamps) > 300
            assert {(b - a) % 2**32 for a, b in pairwise(stamps)} == {480}
            assert {(b - a) % 2**16 for (a, *_), (b, *_) in pairwise(client.packets)} == {1}
            assert stats["level_out_dbfs"] == pytest.approx(-9.0, abs=0.5)
            assert stats["lost_packets"] == 0
            assert stats["blocks"] > 100
            assert {"delay", "block_seconds", "queue_ms", "rtt_ms", "loss", "settings"} <= set(stats)

    asyncio.run(run())
