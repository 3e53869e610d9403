"""`seedvc-live serve`: starts, ends, and says what is wrong."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import subprocess
import urllib.request
from datetime import datetime, timedelta, timezone
from pathlib import Path

import aiohttp
import pytest

from seedvc_live.cli import main
from tests.tools.caller import Caller, tone
from tests.tools.peers import command, run_command
from tests.tools.server import asynctest, became_ready, children_of, served, until

TOKEN = "correct horse battery"


@pytest.mark.parametrize(
    ("options", "status", "says"),
    [
        (["--host", "0.0.0.0"], 2, "--token-file"),
        (["--token", "short"], 2, "at least 8"),
        (["--token-file", "nowhere"], 1, "cannot read --token-file nowhere: No such file"),
        (["--token", TOKEN, "--token-file", "empty"], 2, "exclude each other"),
        (["--token-file", "empty"], 2, "is empty"),
        (["--tls-cert", "nowhere"], 2, "--tls-cert and --tls-key go together"),
        (["--tls-cert", "nowhere", "--tls-key", "nowhere"], 1, "cannot read nowhere"),
        (["--tls-cert", "text", "--tls-key", "text"], 1, "are not a certificate"),
        (["--turn-url", "turn:h"], 2, "--turn-secret-file"),
        (["--turn-url", "http://h", "--turn-secret", "x"], 2, "not the address of a TURN server"),
        (["--stun-url", "h"], 2, "not the address of a STUN server"),
        (["--relay-only"], 2, "--relay-only needs --turn-url"),
        (["--udp-ports", "80-90"], 2, "--udp-ports"),
        (["--udp-ports", "50000"], 2, "--udp-ports"),
        (["--public-ip", "example.org"], 2, "--public-ip"),
        (["--allow-origin", "example.org"], 2, "--allow-origin"),
        (["--allow-origin", "*"], 2, "--allow-origin"),
        (["--host", "no-such-host.invalid", "--insecure"], 1, "no such host"),
        (["--voices", "text"], 1, "not a folder"),
        (["--port", "99999"], 2, "99999"),
        (["--engine", "warp"], 2, "warp"),
        (["--workers", "0"], 2, "--workers"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path, monkeypatch, capsys, options, status, says) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEEDVC_LIVE_TOKEN", raising=False)
    Path("empty").write_text("\n")
    Path("text").write_text("this is no certificate\n")
    with pytest.raises(SystemExit) as ended:
        main(["serve", *(["--port", "0"] if "--port" not in options else []), *options])
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (status, ""), err
    assert says in err
    assert err.count("\n") == 1


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_command("serve", "--port", str(port))
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@asynctest
async def test_a_signal_ends_sessions_and_workers_and_the_status_is_0(tmp_path, number) -> None:
    async with served(tmp_path / "voices") as (process, url), aiohttp.ClientSession(url) as http:
        await became_ready(http)
        caller = await Caller(http, tone(500, 30)).call()
        await caller.peer.hear(0.3)
        children = children_of(process.pid)
        assert children
        async with http.get(f"{caller.path}/events") as stream:
            process.send_signal(number)
            text = (await asyncio.wait_for(stream.read(), 15)).decode()
        assert '"closed", "reason": "shutdown"' in text
        assert await asyncio.wait_for(process.wait(), 20) == 0
        await until(lambda: not any(Path(f"/proc/{child}").exists() for child in children))
        await caller.peer.close()
    log = (tmp_path / "log").read_text()
    assert "Traceback" not in log
    assert "never" not in log, "no warning about what was left behind"


@asynctest
async def test_workers_end_when_control_is_killed(tmp_path) -> None:
    async with served(tmp_path / "voices") as (process, url), aiohttp.ClientSession(url) as http:
        await became_ready(http)
        children = children_of(process.pid)
        process.kill()
        await process.wait()
        await until(lambda: not any(Path(f"/proc/{child}").exists() for child in children))


@asynctest
async def test_the_token_comes_from_a_file_or_the_environment_and_is_never_logged(tmp_path, monkeypatch) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    (tmp_path / "secret").write_text("turn secret\n")
    options = ["--token-file", str(tmp_path / "token"), "--turn-url", "turn:127.0.0.1", "--turn-secret-file"]
    options += [str(tmp_path / "secret"), "--log-level", "debug", "--log-format", "json", "--host", "0.0.0.0"]
    async with served(tmp_path / "voices", *options) as (_, url):
        here = url.replace("0.0.0.0", "127.0.0.1")
        async with aiohttp.ClientSession(here) as nobody:
            await became_ready(nobody)
            assert (await nobody.get("/api/voices")).status == 401
        async with aiohttp.ClientSession(here, headers={"Authorization": f"Bearer {TOKEN}"}) as http:
            servers = await (await http.get("/api/ice-servers")).json()
            assert servers["iceServers"][0]["urls"] == ["turn:127.0.0.1:3478"]
            caller = Caller(http, tone(500, 5))
            opened = await http.post("/api/sessions", json={"sdp": await caller.peer.offer()})
            assert opened.status == 201
            await caller.hang_up()
    log = (tmp_path / "log").read_text()
    assert '"message": "session opened"' in log
    for secret in (TOKEN, "turn secret", "turn%20secret", servers["iceServers"][0]["credential"], "ice-pwd"):
        assert secret not in log


@asynctest
async def test_tls(tmp_path) -> None:
    certificate(tmp_path / "cert.pem", tmp_path / "key.pem")
    options = ["--tls-cert", str(tmp_path / "cert.pem"), "--tls-key", str(tmp_path / "key.pem")]
    async with served(tmp_path / "voices", *options) as (_, url):
        assert url.startswith("https://")
        context = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
        response = await asyncio.to_thread(urllib.request.urlopen, f"{url}/healthz", context=context)
        with response:
            assert response.status == 200


def certificate(cert: Path, key: Path) -> None:
    """A certificate for 127.0.0.1, good for a day."""
    from ipaddress import ip_address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.now(timezone.utc)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(private, hashes.SHA256())
    )
    cert.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    key.write_bytes(private.private_bytes(*form))


def test_workers_that_cannot_start_end_the_server_with_the_reason(tmp_path) -> None:
    broken = tmp_path / "gi.py"
    broken.write_text("raise ImportError('no GStreamer here')\n")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        command("serve", "--port", "0", "--workers", "1", "--voices", tmp_path / "voices", "--log-level", "error"),
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("seedvc-live: error: media workers do not start")
    assert "seedvc-live doctor" in last
