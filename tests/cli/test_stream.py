"""`seedvc-live stream`: ends, finalisation and errors. What crosses a network is in test_stream_network.py."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from tests.tools.peers import command, free_port, read_wav, run_command, wait_bound, write_wav

ENGINE = ("--engine", "passthrough")


def test_a_tone_for_a_while_into_a_file(tmp_path) -> None:
    out = tmp_path / "tone.wav"
    done = run_command(
        "stream", *ENGINE, "--input", "test:sine?freq=1000", "--output", out, "--duration", "1.5", "--json"
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    samples, rate = read_wav(out)
    assert report["samples_in"] == report["samples_out"] == len(samples) == 1.5 * rate
    peak = int(np.argmax(np.abs(np.fft.rfft(samples)))) / 1.5
    assert peak == pytest.approx(1000, abs=1)


def test_a_file_is_played_in_real_time_and_whole(tmp_path) -> None:
    source = write_wav(tmp_path / "in.wav", 0.1 * np.random.default_rng(0).uniform(-1, 1, 24_000), 16_000)
    out = tmp_path / "out.wav"
    begin = time.monotonic()
    done = run_command("stream", *ENGINE, "--input", source, "--output", out, "--json")
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - begin >= 1.5
    report = json.loads(done.stdout)
    assert report["samples_in"] == report["samples_out"] == len(read_wav(out)[0]) == 72_000
    assert report["latency_ms"] == pytest.approx(
        report["algorithmic_latency_ms"] + report["compute_reserve_ms"] + report["playout_ms"]
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_plays_the_tail_and_finalises_the_file(tmp_path, number) -> None:
    out = tmp_path / "out.wav"
    process = subprocess.Popen(
        command("stream", *ENGINE, "--input", "test:sine", "--output", out, "--json"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 30
    while not [path for path in tmp_path.iterdir() if path.stat().st_size > 1000] and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 0, stderr
    assert len(read_wav(out)[0]) == json.loads(stdout)["samples_in"]
    assert [path.name for path in tmp_path.iterdir()] == ["out.wav"]


def test_no_input_ends_by_the_idle_timeout(tmp_path) -> None:
    out = tmp_path / "out.wav"
    done = run_command(
        "stream",
        *ENGINE,
        "--input",
        f"rtp://127.0.0.1:{free_port()}",
        "--output",
        out,
        "--idle-timeout",
        "0.5",
        "--json",
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["samples_in"] == 0


@pytest.mark.parametrize("kind", ["rtp", "udp"])
def test_a_busy_port_is_one_line(tmp_path, kind) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
        done = run_command("stream", *ENGINE, "--input", f"{kind}://127.0.0.1:{port}", "--output", tmp_path / "o.wav")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert str(port) in done.stderr
    assert "in use" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (("--input", "test:sine", "--output", "missing/out.wav"), 1, "missing"),
        (("--input", "nothing.wav", "--output", "out.wav"), 1, "nothing.wav"),
        (("--input", "rtp://1.2.3.4", "--output", "out.wav"), 2, "port"),
        (("--input", "speaker:", "--output", "out.wav"), 2, "no input"),
        (("--input", "test:sine", "--output", "mic:"), 2, "no output"),
        (("--input", "a.wav", "--output", "./a.wav"), 1, "same file"),
        (("--output", "out.wav"), 2, "--input"),
    ],
)
def test_bad_ends_are_one_line(tmp_path, monkeypatch, words, status, text) -> None:
    monkeypatch.chdir(tmp_path)
    done = run_command("stream", *ENGINE, *words)
    assert done.returncode == status, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert text in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_nano_needs_a_reference(tmp_path) -> None:
    done = run_command("stream", "--input", "test:sine", "--output", tmp_path / "o.wav")
    assert done.returncode == 2
    assert "--reference" in done.stderr


def test_odd_datagrams_do_no_harm(tmp_path: Path) -> None:
    port, out = free_port(), tmp_path / "out.wav"
    process = subprocess.Popen(
        command(
            "stream", *ENGINE, "--input", f"udp://127.0.0.1:{port}?format=s16le&rate=16000",
            "--output", out, "--idle-timeout", "1", "--json",
        ),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_bound(port)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for size in (640, 1, 0, 641, 40_001, 3, 640):
            sender.sendto(b"\x10" * size, ("127.0.0.1", port))
            time.sleep(0.02)
    stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 0, stderr
    # Whole samples only; the live resampler keeps its last 2 ms.
    assert json.loads(stdout)["samples_in"] == pytest.approx((320 + 320 + 20_000 + 1 + 320) * 3, abs=100)
    assert read_wav(out)[1] == 48_000
