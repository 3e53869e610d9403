"""Processor time of a session that only carries audio: this server, FastRTC and plain aiortc, side by side.

    python bench/transport_cpu/run.py [--fastrtc PYTHON] [--sessions 1,4] [--seconds 20]

Each server runs alone, in turn, several times; clients are a process of their own whose time does not count. What is
counted is what the server's processes took, all of them, per session and second, less what they take without a
session. All three get the same Opus packets (20 ms, 32 kbit/s) and send Opus back; a session counts only if what
was said came back. `--fastrtc` names the Python of an environment with fastrtc in it; without, one is made beside
this file's results and thrown away. Where others share the machine, start it with
`chrt -r 1`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from importlib.metadata import version
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from aiohttp import ClientSession  # noqa: E402
from tests.tools.heard import Heard  # noqa: E402
from tests.tools.probe import Probe, encode  # noqa: E402
from tests.tools.processes import terminate  # noqa: E402

from seedvc_live import machine  # noqa: E402
from seedvc_live.media.load import load_audio  # noqa: E402

FASTRTC = "0.0.34"
SETTLE = 4.0
_FASTRTC_PATH = "/webrtc/offer"
_TICKS = os.sysconf("SC_CLK_TCK")


def processor_seconds(pid: int) -> float:
    """User and system time of a process and all that it started and that still run."""
    children: dict[int, list[int]] = {}
    times: dict[int, float] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(entry.name))
        times[int(entry.name)] = (int(fields[11]) + int(fields[12])) / _TICKS
    total, left = 0.0, [pid]
    while left:
        one = left.pop()
        total += times.get(one, 0.0)
        left += children.get(one, [])
    return total


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def said() -> np.ndarray:
    with as_file(files("seedvc_live") / "data" / "source.flac") as path:
        samples = load_audio(path, 48_000).samples
    return samples[: len(samples) // 960 * 960]


async def clients(url: str, path: str, count: int, seconds: float, request: dict[str, str]) -> None:
    """So many sessions at once; says `ready` when all are connected, and at the end what each one heard."""
    words = said()
    packets = encode(words)
    async with ClientSession(url) as http:
        # FastRTC's handlers wait for a data channel, which its own client opens.
        channel = "text" if path == _FASTRTC_PATH else None
        probes = [Probe(http, packets, loopback=True, path=path, channel=channel) for _ in range(count)]
        try:
            for index, probe in enumerate(probes):
                await probe.open(**request, **({"webrtc_id": f"id{index}"} if channel else {}))
            print("ready", flush=True)
            await asyncio.sleep(seconds)
            heard = []
            with tempfile.TemporaryDirectory() as folder:
                for probe in probes:
                    probe.save(Path(folder) / "heard.npz")
                    found = Heard.load(Path(folder) / "heard.npz")
                    delays = found.delays(words, found.arrivals[-1] - seconds, found.arrivals[-1])
                    heard.append({"windows": len(delays), "delay_ms": round(1000 * float(np.median(delays)), 1)})
            print(json.dumps(heard), flush=True)
        finally:
            await asyncio.gather(*(probe.close() for probe in probes), return_exceptions=True)


def wait_for(port: int, process: subprocess.Popen[Any]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), 1):
                return
        except OSError:
            time.sleep(0.2)
    raise SystemExit(f"transport_cpu: a server did not start: {process.args}")


def measure(
    command: list[str], port: int, path: str, count: int, seconds: float, request: dict[str, str]
) -> dict[str, Any]:
    """One server, one number of sessions."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        client = None
        try:
            wait_for(port, server)
            time.sleep(6.0)
            before = processor_seconds(server.pid)
            time.sleep(5.0)
            idle = (processor_seconds(server.pid) - before) / 5.0
            options = ["--client", f"http://127.0.0.1:{port}", path, str(count), str(seconds + 2 * SETTLE)]
            client = subprocess.Popen(
                [sys.executable, str(HERE / "run.py"), *options, json.dumps(request)], stdout=subprocess.PIPE, text=True
            )
            assert client.stdout is not None
            if client.stdout.readline() != "ready\n":
                raise SystemExit(f"transport_cpu: no session with {command}")
            time.sleep(SETTLE)
            begin, before = time.monotonic(), processor_seconds(server.pid)
            time.sleep(seconds)
            spent = (processor_seconds(server.pid) - before) / (time.monotonic() - begin)
            heard = json.loads(client.communicate(timeout=120)[0])
            if min(one["windows"] for one in heard) < 3:
                raise SystemExit(f"transport_cpu: what was said did not come back: {heard}")
            return {
                "sessions": count,
                "idle_percent_of_a_core": round(100 * idle, 2),
                "percent_of_a_core_per_session": round(100 * (spent - idle) / count, 2),
                "delay_ms": round(statistics.median(one["delay_ms"] for one in heard), 1),
                "load_average": round(os.getloadavg()[0], 1),
            }
        finally:
            for process in (client, server):
                if process is not None and process.poll() is None:
                    terminate(process)


def fastrtc_python(folder: Path) -> str:
    """An environment with FastRTC of its own: it is no dependency of this project."""
    venv.create(folder, with_pip=True)
    python = str(folder / "bin" / "python")
    subprocess.run(
        [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", f"fastrtc=={FASTRTC}", "uvicorn"],
        check=True,
    )
    return python


def main() -> None:
    if sys.argv[1:2] == ["--client"]:
        url, path, count, seconds, request = sys.argv[2:]
        asyncio.run(clients(url, path, int(count), float(seconds), json.loads(request)))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fastrtc", help="Python of an environment that has fastrtc")
    parser.add_argument("--sessions", default="1,4")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=ROOT / "bench" / "results" / "transport_cpu.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        fastrtc = options.fastrtc or fastrtc_python(Path(folder) / "fastrtc")
        serve = ["-m", "seedvc_live", "serve", "--engine", "passthrough", "--workers", "1", "--voices", folder]
        rows = []
        for round_ in range(options.rounds):
            for count in (int(word) for word in options.sessions.split(",")):
                for name in ("seedvc-live", "fastrtc", "aiortc"):
                    port = free_port()
                    if name == "seedvc-live":
                        command, path = [sys.executable, *serve, "--port", str(port)], "/api/sessions"
                        request = {"engine": "passthrough"}
                    elif name == "fastrtc":
                        command, path, request = (
                            [fastrtc, str(HERE / "echo_fastrtc.py"), str(port)],
                            "/webrtc/offer",
                            {},
                        )
                    else:
                        command, path, request = [sys.executable, str(HERE / "echo_aiortc.py"), str(port)], "/offer", {}
                    row = {
                        "server": name,
                        "round": round_ + 1,
                        **measure(command, port, path, count, options.seconds, request),
                    }
                    rows.append(row)
                    print(json.dumps(row), flush=True)
    result = {
        "machine": machine.describe(),
        "measured": time.strftime("%Y-%m-%d", time.gmtime()),
        "versions": {"fastrtc": FASTRTC, "aiortc": version("aiortc")},
        "scheduling": {os.SCHED_OTHER: "other", os.SCHED_RR: "round robin"}.get(os.sched_getscheduler(0)),
        "summary": summary(rows),
        "rows": rows,
    }
    options.output.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result["summary"], indent=2))


def summary(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Median of the rounds: number of sessions → server → percent of a core per session."""
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        same = [r for r in rows if (r["server"], r["sessions"]) == (row["server"], row["sessions"])]
        median = statistics.median(r["percent_of_a_core_per_session"] for r in same)
        found.setdefault(str(row["sessions"]), {})[row["server"]] = round(median, 2)
    return found


if __name__ == "__main__":
    main()
