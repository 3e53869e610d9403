"""What `deploy/` holds, as far as it can be tried without a container engine."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from aioice.stun import TransactionFailed
from aioice.turn import create_turn_endpoint

from seedvc_live.cli import cli
from tests.tools.coturn import installed, listens
from tests.tools.peers import free_port

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return loaded


def check(path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_compose_file_is_one(tmp_path: Path) -> None:
    assert (done := check(DEPLOY / "compose.yaml")).returncode == 0, done.stdout
    wrong = (DEPLOY / "compose.yaml").read_text().replace("healthcheck:", "health-check:")
    (tmp_path / "compose.yaml").write_text(wrong)
    assert check(tmp_path / "compose.yaml").returncode == 1


def test_what_the_compose_file_names_exists() -> None:
    content = compose()
    for name, service in content["services"].items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (DEPLOY / source).is_dir() if source.startswith(".") else source in content["volumes"], name
        assert set(service["secrets"]) <= content["secrets"].keys()
    build = content["services"]["server"]["build"]
    assert ((DEPLOY / build["context"]).resolve() / build["dockerfile"]).is_file()
    ignored = [secret["file"].split("/")[1] for secret in content["secrets"].values()]
    assert set(ignored) == {"secrets"}
    assert "/deploy/secrets/" in (ROOT / ".gitignore").read_text().splitlines()


def test_the_server_takes_the_command_line() -> None:
    words = [_filled(word) for word in compose()["services"]["server"]["command"]]
    command = cli.get_command(None, words[0])  # type: ignore[arg-type]
    assert command is not None
    with command.make_context("serve", words[1:]) as context:
        assert context.params["port"] == 8443
        assert context.params["udp_ports"]
    with pytest.raises(click.UsageError):
        command.make_context("serve", [*words[1:], "--no-such-option"])


def _filled(word: str) -> str:
    values = {"DOMAIN": "voice.example.org", "PUBLIC_IP": "203.0.113.7"}
    return re.sub(r"\$\{(\w+)[^}]*\}", lambda match: values[match[1]], word)


def test_the_image_is_made_of_what_is_there() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    sources = [word for line in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE) for word in line.split()]
    assert len(sources) >= 7
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for source in sources:
        assert (ROOT / source).exists(), source
        assert source in kept, f"{source} is kept from the builder"
    user = re.search(r"--uid (\d+)", text)
    assert user is not None
    assert compose()["services"]["turn"]["user"] == f"{user[1]}:{user[1]}"
    low, high = re.search(r"(\d+)-(\d+)/udp", text).groups()  # type: ignore[union-attr]
    assert f"--udp-ports={low}-{high}" in compose()["services"]["server"]["command"]


@pytest.mark.parametrize("script", ["deploy/coturn/start", "scripts/system-packages"])
def test_scripts_are_of_the_plain_shell(script: str) -> None:
    subprocess.run(["sh", "-n", str(ROOT / script)], check=True)
    assert os.access(ROOT / script, os.X_OK)


def test_coturn_does_not_start_without_a_secret(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "DOMAIN": "x", "PUBLIC_IP": "127.0.0.1"}
    environment["TURN_SECRET_FILE"] = str(tmp_path / "none")
    done = subprocess.run(
        [DEPLOY / "coturn" / "start"], env=environment, capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 1
    assert "missing or empty" in done.stderr


async def allocates(port: int, secret: str) -> bool:
    """Whether a TURN client that knows this secret gets a relay."""
    user = f"{int(time.time()) + 600}:test"
    password = base64.b64encode(hmac.new(secret.encode(), user.encode(), hashlib.sha1).digest()).decode()
    try:
        transport, _ = await create_turn_endpoint(
            asyncio.DatagramProtocol, server_addr=("127.0.0.1", port), username=user, password=password
        )
    except TransactionFailed as error:
        if error.response.attributes["ERROR-CODE"][0] != 401:
            raise
        return False
    transport.close()
    await asyncio.sleep(0.1)
    return True


@pytest.mark.slow
@pytest.mark.skipif(not installed(), reason="coturn is not installed")
def test_coturn_starts_with_its_configuration(tmp_path: Path) -> None:
    """As the container starts it, but for the ports; a client with the shared secret gets a relay, another does not."""
    (tmp_path / "secret").write_text("shared\n")
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "DOMAIN": "voice.example.org",
        "PUBLIC_IP": "127.0.0.1",
        "TURN_SECRET_FILE": str(tmp_path / "secret"),
        "TMPDIR": str(tmp_path),
    }
    extra = ["--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1", f"--listening-port={port}", "--allow-loopback-peers"]
    extra += [f"--pidfile={tmp_path}/pid", f"--userdb={tmp_path}/db"]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen([DEPLOY / "coturn" / "start", *extra], env=environment, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 20
        while not listens(port):
            assert process.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.05)
        assert asyncio.run(allocates(port, "shared"))
        assert not asyncio.run(allocates(port, "another"))
    finally:
        process.terminate()
        process.wait(20)
