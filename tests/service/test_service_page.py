"""The commands of docs/service.md do what it says, against a real server."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from importlib.resources import files
from pathlib import Path

import aiohttp

from tests.tools.caller import Caller, tone
from tests.tools.server import asynctest, became_ready, served

PAGE = Path(__file__).parents[2] / "docs" / "service.md"


@asynctest
async def test_every_curl_command_succeeds(tmp_path) -> None:
    commands = re.findall(r"^curl .*$", PAGE.read_text(), re.MULTILINE)
    assert len(commands) >= 8
    shutil.copy(str(files("seedvc_live") / "data" / "reference.flac"), tmp_path / "reference.flac")
    async with served(tmp_path / "voices") as (_, url), aiohttp.ClientSession(url) as http:
        await became_ready(http)
        caller = Caller(http, tone(500, 5))
        (tmp_path / "offer.json").write_text(json.dumps({"sdp": await caller.peer.offer(), "type": "offer"}))
        session, answers = "", []
        for line in commands:
            program = line.replace("http://127.0.0.1:8080", url).replace("curl", "curl -sS --fail-with-body", 1)
            shell = await asyncio.create_subprocess_exec(
                "sh", "-c", program, cwd=tmp_path, env={"SESSION": session, "PATH": "/usr/bin:/bin"},
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            )  # fmt: skip
            output = (await asyncio.wait_for(shell.communicate(), 60))[0].decode()
            assert shell.returncode == 0, (line, output)
            answers.append(json.loads(output) if output else None)
            if "offer.json" in line:
                session = answers[-1]["id"]
        assert (await (await http.get("/api/sessions")).json())["sessions"] == []
        await caller.peer.close()
    assert any(answer and answer.get("bypass") is True for answer in answers)
    shown = set(
        re.findall(r"`(?:seedvc_live_)?(\w+)(?:\{\w+\})?`", PAGE.read_text().split("| metric")[1].split("\n\n")[0])
    )
    from seedvc_live.service.metrics import Metrics

    names = {metric.name.removeprefix("seedvc_live_") for metric in Metrics(dict, dict).registry.collect()}
    assert {name.removesuffix("_total") for name in shown} == names
