"""Ending what a test has started."""

from __future__ import annotations

import subprocess
from typing import Any


def terminate(process: subprocess.Popen[Any], seconds: float = 15.0) -> None:
    """SIGTERM, and SIGKILL for what has not ended in time; waits for it."""
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
