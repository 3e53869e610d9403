from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.tools.served import served


def run(*arguments: str, seconds: float = 120) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "seedvc_live", "latency", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=seconds)


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("--url", "http://127.0.0.1:9", "--client", "aiortc"), 1, "no server at http://127.0.0.1:9"),
        (("--url", "ftp://there", "--client", "aiortc"), 1, "--url takes http://HOST:PORT"),
        (("--set", "block"), 2, "--set takes NAME=VALUE"),
        (("--seconds", "1"), 2, "--seconds"),
        (("--client", "netscape"), 2, "netscape"),
    ],
)
def test_bad_input_is_one_line(arguments, status, words) -> None:
    done = run(*arguments)
    assert done.returncode == status
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_without_the_extra_the_error_names_the_command_that_installs_it(monkeypatch) -> None:
    from seedvc_live.errors import MissingPackageError
    from seedvc_live.evaluate.latency import run as running

    monkeypatch.setattr(running.chromium, "available", lambda: False)
    monkeypatch.setattr(running.peer, "available", lambda: False)
    with pytest.raises(MissingPackageError, match=r"pip install 'seedvc-live\[latency\]'"):
        running.choose_client(None)


@pytest.mark.browser
@pytest.mark.timeout(300)
def test_both_clients_measure_a_real_server(tmp_path) -> None:
    with served(tmp_path, "--engine", "passthrough", "--workers", "1") as server:
        for client in ("chromium", "aiortc"):
            done = run("--url", server.url, "--client", client, "--seconds", "6", "--json")
            assert done.returncode == 0, done.stderr
            result = json.loads(done.stdout)
            print({key: result[key] for key in ("client", "p50_ms", "p95_ms", "parts", "chirps", "missed")})
            assert result["client"] == client
            # Not less than the server alone adds, not more than a machine under load would.
            server_ms = sum(result["parts"][part] for part in ("algorithmic", "compute", "playout"))
            assert server_ms < result["p50_ms"] <= result["p95_ms"] < 1500
            assert result["parts"]["client_jitter_buffer"] > 0
            assert result["chirps"] > 5
        # No session is left behind, and an engine that is not there is said.
        absent = run("--url", server.url, "--engine", "nano", "--client", "aiortc")
        assert (absent.returncode, "nano" in absent.stderr) == (1, True)
