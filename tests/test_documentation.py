"""The Python in README and docs runs as printed; every command and link they name exists."""

from __future__ import annotations

import re
from importlib.resources import as_file, files
from pathlib import Path

import click
import numpy as np
import pytest

from seedvc_live import load_audio, load_engine, save_audio
from seedvc_live.cli import cli
from seedvc_live.doctor import USES
from tests.tools.audio import encode

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "training" / "README.md"]


def python_blocks(page: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)


@pytest.mark.parametrize("page", [p for p in PAGES if p.exists() and python_blocks(p)], ids=lambda p: p.name)
def test_python_runs_as_printed(page, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with as_file(files("seedvc_live") / "data") as data:
        reference = load_audio(data / "reference.flac")
        save_audio("reference.wav", reference)
        source = load_audio(data / "source.flac").head(2.0)
    save_audio("speech.wav", source)
    encode(tmp_path / "speech.wav", tmp_path / "speech.mp3", "mp3")
    names = {
        "chunk": np.zeros(4800, dtype=np.float32),
        "other": load_engine("nano").enroll(load_audio("speech.wav")),
    }
    for block in python_blocks(page):
        exec(compile(block, page.name, "exec"), names)
    if "bridge" in names:
        assert Path("copy.wav").exists()


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page) -> None:
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_commands_and_options_exist(page) -> None:
    for line in re.findall(r"(?:^|`)(?:\.venv/bin/)?seedvc-live ([^`\n]*)", page.read_text(), re.MULTILINE):
        words = line.split()
        if not words or not words[0].isalpha():
            continue
        command = cli.get_command(None, words[0])  # type: ignore[arg-type]
        assert command is not None, f"{page.name}: seedvc-live {words[0]}"
        if isinstance(command, click.Group) and len(words) > 1 and words[1].isalpha():
            command = command.commands[words[1]]
        known = {option for parameter in command.params for option in parameter.opts}
        for word in words[1:]:
            option = word.split("=")[0].rstrip(",.")
            if option.startswith("--") and option != "--":
                assert option in known, f"{page.name}: {words[0]} {option}"


def test_troubleshooting_names_checks_that_exist() -> None:
    known = {f"gstreamer.{use}" for use in USES} | {"gi", "gstreamer", "python", "engine.nano", "engine.passthrough"}
    rows = re.findall(r"^\| .* \| (.*?) \| .* \|$", (ROOT / "docs" / "troubleshooting.md").read_text(), re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([a-z.]+)`", row)} - {"doctor"}
    assert named
    assert named <= known


def test_make_targets_that_the_readme_names_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make ([a-z-]+)", (ROOT / "README.md").read_text(), re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
