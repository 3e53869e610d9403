"""The limits hold against a process that tries to exceed them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

_SET = """
import os, sys
from seedvc_live.service import limits
limits.set_limits(memory=256 << 20, cpu_seconds=1, file_bytes=10_000, more_files=4)
"""


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _SET + code, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_memory() -> None:
    assert "MemoryError" in run("b = bytearray(300 << 20)").stderr
    assert run("b = bytearray(50 << 20)").returncode == 0


def test_processor_time() -> None:
    assert run("while True: pass").returncode in {-signal.SIGXCPU, -signal.SIGKILL}


def test_size_of_files(tmp_path: Path) -> None:
    done = run("open(sys.argv[1], 'wb').write(bytes(100_000))", str(tmp_path / "file"))
    assert done.returncode != 0
    assert (tmp_path / "file").stat().st_size <= 10_000


def test_number_of_files() -> None:
    assert "Too many open files" in run("kept = [open('/dev/null') for _ in range(100)]").stderr


def test_limits_cannot_be_raised_again_by_an_ordinary_user() -> None:
    code = "import resource; print(*resource.getrlimit(resource.RLIMIT_CPU))"
    assert run(code).stdout.split() == ["1", "1"]


def test_no_network() -> None:
    code = """
import socket, sys
from seedvc_live.service import limits
if not limits.leave_network():
    print("not permitted")
    sys.exit()
with socket.socket() as s:
    try:
        s.connect(("127.0.0.1", int(sys.argv[1])))
        print("connected")
    except OSError as error:
        print("unreachable")
"""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        done = subprocess.run([sys.executable, "-c", code, port], capture_output=True, text=True, check=True)
    if done.stdout.strip() == "not permitted":
        pytest.skip("this system does not let a process leave the network")
    assert done.stdout.strip() == "unreachable"


def test_it_dies_with_its_parent(tmp_path: Path) -> None:
    child = "from seedvc_live.service import limits; limits.die_with_parent(); import time; time.sleep(60)"
    parent = f"""
import subprocess, sys, time
process = subprocess.Popen([sys.executable, "-c", {child!r}])
time.sleep(1.0)
print(process.pid, flush=True)
time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        pid = int(process.stdout.readline())
        process.kill()
        process.wait()
    deadline = time.monotonic() + 10
    while _runs(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _runs(pid)


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    # An orphan's remains wait for the system's first process, which may not collect them in a container.
    return state not in {"Z", "X"} and os.path.exists(f"/proc/{pid}")
