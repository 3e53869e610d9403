"""One session through a bad network: clean, then lossy, then clean again; what came of delay and time."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.tools.heard import Heard
from tests.tools.namespaces import SERVER, BadNetwork, environment
from tests.tools.processes import terminate

SETTLE = 4.0
"""Seconds after the begin that do not count as "before": play-out finds its depth."""

RECOVER = 1.0


@dataclass(frozen=True, eq=False)
class LossRun:
    """What was measured.

    Attributes:
        heard: the recording.
        lossy: (begin, end) of the loss, seconds of the monotonic clock.
        counted: by the bridge, from the client and from the server.
        about: the session, as the server shows it at the end.
        delays: before, during and after, seconds.
    """

    heard: Heard
    lossy: tuple[float, float]
    counted: list[dict[str, int]]
    about: dict[str, Any]
    delays: tuple[np.ndarray, np.ndarray, np.ndarray]


@contextlib.contextmanager
def before_others() -> Iterator[None]:
    """Processes started meanwhile go before what else the machine does, where the kernel allows it.

    A session that gets no processor measures the machine, not the loss.
    """
    policy = os.sched_getscheduler(0)
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    try:
        yield
    finally:
        if os.sched_getscheduler(0) != policy:
            os.sched_setscheduler(0, policy, os.sched_param(0))


@contextlib.contextmanager
def server_behind(network: BadNetwork, voices: Path, *options: str) -> Iterator[str]:
    """A server on the network's far side; its address."""
    command = ["-m", "seedvc_live", "serve", "--host", SERVER, "--port", "8080", "--insecure", "--voices", str(voices)]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            network.server(sys.executable, *command, *options), stdout=log, stderr=log, env=environment()
        )
        try:
            deadline = time.monotonic() + 90
            while not re.search(r"worker 1 ready", _text(log)):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the server did not start: {_text(log)[-2000:]}")
                time.sleep(0.1)
            yield f"http://{SERVER}:8080"
        finally:
            terminate(process)


def run_loss(
    network: BadNetwork,
    url: str,
    said: np.ndarray,
    *,
    before: float,
    lossy: float,
    after: float,
    impairment: dict[str, Any],
    by_envelope: bool = False,
    fec: bool = False,
    **request: str,
) -> LossRun:
    """Say `said` (48 kHz), over and over, for `before` + `lossy` + `after` seconds.

    Args:
        impairment: of the middle part, both directions.
        by_envelope: the voice is converted.
        fec: the client offers in-band error correction, as browsers do.
        request: engine, voice, settings (JSON).

    Raises:
        RuntimeError: the session did not start or did not last.
    """
    with tempfile.TemporaryDirectory() as folder:
        audio, out = Path(folder) / "said.npy", Path(folder) / "heard.npz"
        np.save(audio, said)
        options = [f"--{name}={value}" for name, value in request.items()] + ["--fec"] * fec
        seconds = before + lossy + after
        process = subprocess.Popen(
            network.client(
                sys.executable, "-m", "tests.tools.probe", "--url", url, "--audio", str(audio), "--out", str(out),
                "--seconds", str(seconds), *options,
            ),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
        )  # fmt: skip
        try:
            assert process.stdout is not None
            first = process.stdout.readline()
            if not first:
                raise RuntimeError(f"no session: {process.communicate()[1].strip()[-500:]}")
            begin = float(json.loads(first)["begin"])
            _sleep_until(begin + before)
            network.impair(**impairment)
            start = time.monotonic()
            _sleep_until(begin + before + lossy)
            counted = network.impair()
            end = time.monotonic()
            output, errors = process.communicate(timeout=after + 60)
            if process.returncode:
                raise RuntimeError(f"the session did not last: {errors.strip()[-500:]}")
            about = json.loads(output.splitlines()[-1])["about"]
        finally:
            process.kill()
            process.communicate()
        heard = Heard.load(out)
    measure = heard.delays_by_envelope if by_envelope else heard.delays
    spans = ((begin + SETTLE, start), (start, end), (end + RECOVER, begin + seconds))
    before_, during, after_ = (measure(said, *span) for span in spans)
    return LossRun(heard, (start, end), counted, about, (before_, during, after_))


def _sleep_until(when: float) -> None:
    time.sleep(max(0.0, when - time.monotonic()))


def _text(log: Any) -> str:
    return os.pread(log.fileno(), 1 << 20, 0).decode("utf-8", "replace")
