"""`seedvc-live download` from a hub on the loopback, and what `doctor` says before and after."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import pty
import shutil
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from seedvc_live.engines.seedvc.presets import PRESETS
from tests.tools.hub import COMMIT, FakeHub
from tests.tools.peers import command, free_port, run_command

from .folder import write_model

pytestmark = pytest.mark.torch
XLSR = "facebook/wav2vec2-xls-r-300m"
COUNT = 7


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What the hub serves: a small xlsr-tiny."""
    folder = tmp_path_factory.mktemp("published")
    write_model(folder, "xlsr-tiny")
    # As large as that the transfer, which writes 10 MB at a time, can be interrupted in the middle.
    path = folder / "Plachta" / "Seed-VC" / PRESETS["xlsr-tiny"].checkpoint
    torch.save({**torch.load(path, weights_only=True), "unused": torch.zeros(6_000_000)}, path)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def hub(published: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with FakeHub(published) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield hub


def download(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return run_command("download", "--model", "xlsr-tiny", "--model-dir", folder, *words)


def assert_one_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 1, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    for word in words:
        assert word in done.stderr


def test_all_files_arrive_are_recorded_and_are_not_fetched_again(hub: FakeHub, published: Path, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    before = run_command("doctor", "--engine", "seed-vc", "--model-dir", folder)
    assert before.returncode == 1
    assert before.stdout.count(f"seedvc-live download --model xlsr-tiny --model-dir {folder}") == COUNT
    assert hub.requests == []  # looking is not downloading

    done = download(folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("fetched") == COUNT
    record = json.loads((folder / "sha256.json").read_text())
    assert len(record) == COUNT
    for name, digest in record.items():
        content = (published / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest
        organisation, repository, file = name.split("/")
        arrived = folder / f"models--{organisation}--{repository}" / "snapshots" / COMMIT / file
        assert arrived.read_bytes() == content

    asked = len(hub.requests)
    again = download(folder)
    assert again.stdout.count("there") == COUNT, again.stderr
    assert len(hub.requests) == asked

    after = run_command("doctor", "--engine", "seed-vc", "--model-dir", folder)
    assert after.returncode == 0, after.stdout
    assert after.stdout.count("sha256 as recorded") == COUNT


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_download_is_continued(hub: FakeHub, tmp_path: Path, how: signal.Signals) -> None:
    folder, stall = tmp_path / "models", 15_000_000
    hub.stall_after = stall
    running = subprocess.Popen(
        command("download", "--model-dir", folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Where the tests run in a shell's background, SIGINT is ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    part: list[Path] = []
    try:
        while time.monotonic() < deadline and not any(path.stat().st_size for path in part):
            part = list(folder.glob("models--Plachta--Seed-VC/snapshots/*/*.part"))
            time.sleep(0.05)
        running.send_signal(how)
        _, err = running.communicate(timeout=60)
    finally:
        if running.poll() is None:
            running.kill()
            running.communicate()
    assert running.returncode == (130 if how is signal.SIGINT else -signal.SIGKILL), err
    kept = part[0].stat().st_size
    assert 0 < kept <= stall
    hub.stall_after = None
    done = download(folder)
    assert done.returncode == 0, done.stderr
    ranges = [wanted for method, path, wanted in hub.requests if method == "GET" and path.endswith(".pth") and wanted]
    assert ranges == [f"bytes={kept}-"]
    assert list(folder.rglob("*.part")) == []


def test_what_arrives_damaged_is_thrown_away(hub: FakeHub, tmp_path: Path) -> None:
    hub.spoil = True
    assert_one_line(download(tmp_path), "arrived damaged", "Plachta/Seed-VC")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_file_that_changes_is_refused_ever_after(hub: FakeHub, tmp_path: Path) -> None:
    assert download(tmp_path).returncode == 0
    for name in ("hift.pt", "pytorch_model.bin"):
        path = next(tmp_path.rglob(name))
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        assert_one_line(download(tmp_path), name, "has changed")
        stock = run_command("doctor", "--engine", "seed-vc", "--model-dir", tmp_path)
        assert stock.returncode == 1
        assert "has changed" in stock.stdout
        clip = Path(__file__).parents[3] / "src" / "seedvc_live" / "data" / "reference.flac"
        options = ("--engine", "seed-vc", "--model-dir", tmp_path, clip, clip, tmp_path / "out.wav")
        assert_one_line(run_command("convert", *options), name, "has changed")
        path.write_bytes(content)
    assert not (tmp_path / "out.wav").exists()


def test_revisions(hub: FakeHub, tmp_path: Path) -> None:
    assert_one_line(download(tmp_path, "--revision", "v9"), "Plachta/Seed-VC")
    done = download(tmp_path, "--revision", COMMIT, "--revision", f"{XLSR}={COMMIT}")
    assert done.returncode == 0, done.stderr
    paths = [path for _, path, _ in hub.requests if "/resolve/" in path]
    asked = {path.split("/resolve/")[0].lstrip("/"): path.split("/")[4] for path in paths}
    assert asked["Plachta/Seed-VC"] == asked[XLSR] == COMMIT
    assert asked["funasr/campplus"] == "main"
    record = json.loads((tmp_path / "sha256.json").read_text())
    assert f"{XLSR}@{COMMIT}/config.json" in record
    stock = run_command("doctor", "--engine", "seed-vc", "--model-dir", tmp_path)
    assert stock.returncode == 1  # of main nothing was fetched
    wanted = ("--revision", COMMIT, "--revision", f"{XLSR}={COMMIT}")
    stock = run_command("doctor", "--engine", "seed-vc", "--model-dir", tmp_path, *wanted)
    assert stock.returncode == 0, stock.stdout


def test_a_hub_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert_one_line(download(tmp_path), "cannot download", "Plachta/Seed-VC")


def test_no_other_command_asks_the_hub(hub: FakeHub, tmp_path: Path) -> None:
    clip = Path(__file__).parents[3] / "src" / "seedvc_live" / "data" / "reference.flac"
    options = ("--engine", "seed-vc", "--model-dir", tmp_path, clip, clip, tmp_path / "out.wav")
    assert_one_line(run_command("convert", *options), "seedvc-live download")
    assert hub.requests == []


def test_a_terminal_shows_a_progress_bar(hub: FakeHub, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
    running = subprocess.Popen(command("download", "--model-dir", tmp_path), stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 4096):
            shown += chunk
    except OSError:  # Linux' way to say that the other end is closed
        pass
    os.close(ours)
    assert running.wait(60) == 0
    assert b"hift.pt: 100%" in shown
