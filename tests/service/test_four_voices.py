"""Four people speak at once through one server, each into a voice of its own: judged by a speaker encoder."""

from __future__ import annotations

import asyncio
import io
from importlib.resources import as_file, files
from pathlib import Path

import aiohttp
import numpy as np
import pytest

from seedvc_live import Pcm, load_audio, save_audio
from seedvc_live.audio.resample import resample
from seedvc_live.service.config import ServeConfig
from tests.tools.caller import Caller
from tests.tools.server import asynctest, from_the_start, in_time, running, until
from tests.tools.webrtc import RATE

pytestmark = [pytest.mark.evaluate, pytest.mark.slow, pytest.mark.timeout(400)]

SECONDS = 14.0


def speakers() -> dict[str, Pcm]:
    """Four voices of two clips: played slower and faster, pitch and formants make another person of each."""
    with as_file(files("seedvc_live") / "data") as data:
        first, second = load_audio(data / "reference.flac"), load_audio(data / "source.flac")
    return {
        "first": first,
        "second": second,
        "first, larger": Pcm(first.samples, round(first.rate * 0.8)),
        "second, smaller": Pcm(second.samples, round(second.rate * 1.25)),
    }


@asynctest
async def test_each_output_is_most_similar_to_its_own_reference(tmp_path: Path) -> None:
    from seedvc_live.evaluate.similarity import Resemblyzer, cosine

    voices = speakers()
    with as_file(files("seedvc_live") / "data" / "source.flac") as path:
        said = np.resize(load_audio(path, rate=RATE).samples, round(40 * RATE))
    config = ServeConfig(voices=tmp_path / "voices", engines=("nano",), workers=2, capacity=2)
    async with running(from_the_start(config)) as (http, service):
        ids = {}
        for name, clip in voices.items():
            file = tmp_path / "clip.flac"
            save_audio(file, resample(clip, 24_000))
            form = aiohttp.FormData()
            form.add_field("clip", io.BytesIO(file.read_bytes()), filename=f"{name}.flac")
            response = await http.post("/api/voices", data=form)
            assert response.status == 201, await response.text()
            ids[name] = (await response.json())["id"]
        await until(lambda: len(service.pool.ready) == 2, 120)
        in_time(service)
        # Long blocks cost little: whose voice is heard can be told from late blocks too, if they are not too many.
        settings = {"profile": "quality", "block": 0.4}
        callers = {name: await Caller(http, said).call(voice=ids[name], settings=settings) for name in voices}
        await asyncio.gather(*(caller.peer.hear(SECONDS, 120) for caller in callers.values()))
        outputs = {name: Pcm(caller.peer.heard[2 * RATE :], RATE) for name, caller in callers.items()}
        for caller in callers.values():
            await caller.hang_up()
    encoder = Resemblyzer()
    targets = {name: encoder.embed(clip) for name, clip in voices.items()}
    for name, output in outputs.items():
        heard = encoder.embed(output)
        scores = {other: round(float(cosine(heard, target)), 3) for other, target in targets.items()}
        print(f"{name}: {scores}")
        assert max(scores, key=lambda other: scores[other]) == name
