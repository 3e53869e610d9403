"""A real `seedvc-live serve` in a process of its own."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tests.tools.processes import terminate


def children(parent: int) -> list[int]:
    """Process ids of a process's children."""
    tasks = Path(f"/proc/{parent}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


class Served:
    """A running server: its address, its log, its media workers."""

    def __init__(self, process: subprocess.Popen[str], log: Path, url: str) -> None:
        self.process = process
        self.log = log
        self.url = url

    def wait_until_ready(self, seconds: float = 120.0) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            with contextlib.suppress(urllib.error.URLError, ConnectionError), self._open("readyz") as answer:
                if answer.status == 200:
                    return
            time.sleep(0.1)
        raise TimeoutError(self.log.read_text())

    def in_time(self) -> None:
        """Put server, workers and this test before everything else, where that is allowed: other work on the machine
        is not what the tests are about."""
        for process in ("self", self.process.pid, *children(self.process.pid)):
            with contextlib.suppress(OSError):
                Path(f"/proc/{process}/autogroup").write_text("-15")

    def _open(self, path: str):
        return urllib.request.urlopen(f"{self.url}/{path}", timeout=5)

    def worker_of_last_session(self) -> int:
        """Process id of the media worker that took the latest session, as the log tells."""
        text = self.log.read_text()
        name = re.findall(r"session opened .*worker=(\S+)", text)[-1]
        return int(re.findall(rf"worker {name} ready .*pid (\d+)", text)[-1])


@contextlib.contextmanager
def served(folder: Path, *options: str, token: str | None = None, ready: bool = True) -> Iterator[Served]:
    """Start it on a free port with its own voices folder, wait until sessions can start, end it."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "serve.log"
    arguments = ["serve", "--port", "0", "--voices", str(folder / "voices"), *options]
    # SEEDVC_LIVE_TOKEN goes by the environment, as in a deployment.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **({"SEEDVC_LIVE_TOKEN": token} if token else {})}
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "seedvc_live", *arguments],
            stdout=subprocess.PIPE,
            stderr=out,
            text=True,
            env=environment,
            start_new_session=True,
        )
        try:
            assert process.stdout is not None
            first = process.stdout.readline()
            assert first.startswith("listening on "), first + log.read_text()
            server = Served(process, log, first.split()[-1])
            server.in_time()
            if ready:
                server.wait_until_ready()
            server.in_time()
            yield server
        finally:
            terminate(process, 20)
            assert process.stdout is not None
            process.stdout.close()
