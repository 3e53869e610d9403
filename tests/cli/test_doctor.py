"""`seedvc-live doctor` on this machine, and on one that lacks a plugin."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from seedvc_live.doctor import USES, Check, healthy
from tests.tools.peers import command, run_command


def plugin_folder() -> Path:
    found = subprocess.run(
        ["pkg-config", "--variable=pluginsdir", "gstreamer-1.0"], capture_output=True, text=True, check=False
    ).stdout.strip()
    candidates = [Path(found)] if found else []
    candidates += list(Path("/usr/lib").glob("*/gstreamer-1.0"))
    return next(path for path in candidates if (path / "libgstopus.so").exists())


def without(plugin: str, folder: Path) -> dict[str, str]:
    """An environment in which GStreamer has all plugins but one."""
    plugins = folder / "plugins"
    plugins.mkdir()
    for file in plugin_folder().glob("*.so"):
        if file.name != plugin:
            (plugins / file.name).symlink_to(file)
    return {
        **os.environ,
        "GST_PLUGIN_SYSTEM_PATH_1_0": str(plugins),
        "GST_PLUGIN_PATH_1_0": "",
        "GST_REGISTRY_1_0": str(folder / "registry.bin"),
    }


def test_all_is_well_here() -> None:
    done = run_command("doctor", "--json")
    assert done.returncode == 0, done.stdout
    result = json.loads(done.stdout)
    assert result["ok"]
    names = {check["name"] for check in result["checks"]}
    assert {"python", "gi", "gstreamer", "engine.nano", "onnxruntime"} <= names
    assert {f"gstreamer.{use}" for use in USES} <= names


def test_brief_says_one_line_when_nothing_is_missing() -> None:
    lines = run_command("doctor", "--brief").stdout.splitlines()
    assert lines[-1] == "everything that is required is there"
    assert not [line for line in lines if line.startswith("MISSING")]


@pytest.mark.parametrize(
    ("plugin", "check", "element", "package"),
    [
        ("libgstopus.so", "gstreamer.rtp", "opusenc", "gstreamer1.0-plugins-base"),
        ("libgstrtpmanager.so", "gstreamer.rtp", "rtpjitterbuffer", "gstreamer1.0-plugins-good"),
        ("libgstfaad.so", "gstreamer.files", "faad", "gstreamer1.0-plugins-bad"),
    ],
)
def test_a_missing_plugin_is_named_with_the_command_that_installs_it(tmp_path, plugin, check, element, package) -> None:
    done = subprocess.run(
        command("doctor", "--json"), capture_output=True, text=True, env=without(plugin, tmp_path), check=False
    )
    assert done.returncode == 1, done.stderr
    found = {entry["name"]: entry for entry in json.loads(done.stdout)["checks"]}[check]
    assert not found["ok"]
    assert element in found["detail"]
    assert found["remedy"] == f"apt-get install --no-install-recommends {package}"


def test_a_command_that_needs_the_plugin_says_so_in_one_line(tmp_path) -> None:
    environment = without("libgstopus.so", tmp_path)
    done = subprocess.run(
        command(
            "stream", "--engine=passthrough", "--input=test:sine", "--output=rtp://127.0.0.1:9", "--duration=1"
        ),
        capture_output=True, text=True, env=environment, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.strip().count("\n") == 0
    assert "opusenc" in done.stderr
    assert "apt-get install gstreamer1.0-plugins-base" in done.stderr


def test_what_is_optional_does_not_fail_the_check() -> None:
    assert healthy([Check("a", True), Check("b", False, required=False)])
    assert not healthy([Check("a", False)])
