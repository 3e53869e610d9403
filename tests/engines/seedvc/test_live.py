"""Pseudo-weights in the published layout, live: RTP through the command, WebRTC through a media worker."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from seedvc_live import load_engine
from seedvc_live.engines.registry import OPTIONS_VARIABLE
from tests.test_stream_network import convert_live
from tests.tools.peers import write_wav

from .folder import write_model
from .test_engine import speechlike

pytestmark = [pytest.mark.torch, pytest.mark.timeout(300)]
SECONDS = 5.0
EASY = {
    "block": 0.5, "diffusion_steps": 1, "cfg_rate": 0.0, "context": 0.6, "dit_context": 0.2, "prompt_seconds": 1.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The hub's cache layout, keys with a prefix; a model that is quick enough for a busy processor."""
    folder = tmp_path_factory.mktemp("models")
    yield write_model(folder, "whisper-small", layout="cache", prefix="module.", light=True)
    shutil.rmtree(folder)


def test_an_rtp_stream(models: Path, tmp_path: Path) -> None:
    source = write_wav(tmp_path / "source.wav", speechlike(SECONDS, 48000, 2).samples, 48000)
    reference = write_wav(tmp_path / "reference.wav", speechlike(1.5, 22050, 1).samples, 22050)
    settings = [word for name, value in EASY.items() for word in ("--set", f"{name}={value}")]
    engine = ("--engine", "seed-vc", "--model", "whisper-small", "--model-dir", str(models), "--truncate", *settings)
    engine += ("--playout", "500")  # a busy processor may stand still for longer than the measured reserve
    result = convert_live(tmp_path / "run", "rtp", {}, source, (*engine, "--reference", str(reference)))
    report = result.report
    assert (report["engine"], report["model"], report["dropped_blocks"]) == ("seed-vc", "whisper-small", 0)
    assert any("truncate" in warning for warning in report["warnings"])
    assert len(result.output) / result.rate == pytest.approx(SECONDS, abs=0.1)
    assert float(np.std(result.output)) > 1e-3


def test_a_webrtc_session(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("aiortc")
    from tests.tools.webrtc import RATE, Client
    from tests.tools.worker import WorkerProcess

    options = {"model": "whisper-small", "model_dir": str(models), "truncate": True}
    engine = load_engine("seed-vc", **options)
    voice = tmp_path / "voice.safetensors"
    engine.enroll(speechlike(1.5, 22050, 1)).save(voice)
    monkeypatch.setenv(OPTIONS_VARIABLE, json.dumps(options))

    async def run() -> None:
        async with WorkerProcess(tmp_path / "log", "--engine", "seed-vc") as worker:
            facts = worker.facts["engines"]["seed-vc"]
            assert (facts["sample_rate"], facts["weights"]) == (22050, engine.weights_hash)
            client = Client(speechlike(20.0, RATE, 3).samples)
            made = await worker.create(
                "one", await client.offer(), "seed-vc", voice_file=str(voice), settings=EASY, policy={"playout_ms": 300}
            )
            await client.accept(made["sdp"])
            await worker.event("one", "state", state="connected")
            heard = await client.hear(6.0)
            stats = await worker.ask("stats", session="one")
            await worker.ask("close", session="one")
            await client.close()
            assert made["delay"]["algorithmic_ms"] == pytest.approx(580, abs=1)
            assert stats["blocks"] >= 5
            assert float(np.std(heard[-2 * RATE :])) > 1e-3

    asyncio.run(run())


def test_a_worker_says_what_an_engine_costs_that_cannot_keep_up(
    models: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from seedvc_live.realtime import judge

    judge("seed-vc", 18.8, allow_slow=True)
    assert "needs 19 s of computing per second of audio" in caplog.text
