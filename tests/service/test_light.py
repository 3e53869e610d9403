"""The control process loads neither GStreamer nor a model: seen from outside, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys

PROGRAM = """
import asyncio, json, sys
from pathlib import Path
import aiohttp
from tests.tools.server import running, scripted

async def main():
    async with running(scripted(Path(sys.argv[1]))) as (client, service):
        statuses = []
        for path in ("/api/engines", "/api/docs", "/metrics", "/api/voices"):
            statuses.append((await client.get(path)).status)
        statuses.append((await client.post("/api/sessions", json={"sdp": "x"})).status)
        form = aiohttp.FormData()
        form.add_field("clip", b"RIFF....WAVE", filename="x.wav")
        statuses.append((await client.post("/api/voices", data=form)).status)
        print(json.dumps([statuses, sorted(sys.modules)]))

asyncio.run(main())
"""


def test_serving_loads_no_media_and_no_model(tmp_path) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(tmp_path)], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    statuses, modules = json.loads(done.stdout)
    assert statuses == [200, 200, 200, 200, 201, 422]
    heavy = {"gi", "torch", "onnxruntime", "kaldi_native_fbank", "soxr", "transformers", "av", "scipy", "librosa"}
    assert not heavy & set(modules)
    assert not [name for name in modules if name.startswith(("seedvc_live.media", "seedvc_live.live"))]
