"""The command's refusals; they come before anything heavy is loaded."""

from __future__ import annotations

import subprocess
import sys

import pytest

from seedvc_live.errors import MissingPackageError
from seedvc_live.evaluate import extras


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "seedvc_live", "evaluate", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_what_is_absent_is_named_with_the_command_that_installs_it(monkeypatch) -> None:
    monkeypatch.setattr(extras, "PACKAGES", ("json", "not_there_at_all"))
    with pytest.raises(
        MissingPackageError, match=r"needs not_there_at_all; install with: pip install 'seedvc-live\[ev"
    ):
        extras.require_all()
    with pytest.raises(MissingPackageError, match="not_there_at_all"):
        extras.require("not_there_at_all")


def test_resemblyzer_needs_a_command_of_its_own(monkeypatch) -> None:
    monkeypatch.setattr(extras, "PACKAGES", ("resemblyzer",))
    monkeypatch.setattr(extras.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match="--no-deps resemblyzer"):
        extras.require_all()


def test_the_modules_load_nothing_heavy() -> None:
    code = (
        "import sys, seedvc_live.cli.evaluate, seedvc_live.evaluate.run, seedvc_live.evaluate.report\n"
        f"print([m for m in {extras.PACKAGES!r} + ('gi', 'librosa', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.evaluate
@pytest.mark.parametrize(
    ("option", "says"),
    [(("--conditions", "clean,underwater"), "underwater"), (("--systems", "streaming,magic"), "magic")],
)
def test_unknown_names_are_wrong_usage(tmp_path, option, says) -> None:
    done = run("--pairs", str(tmp_path / "p.tsv"), "--audio", str(tmp_path), *option)
    assert done.returncode == 2
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.evaluate
def test_a_missing_table_is_one_line(tmp_path) -> None:
    done = run("--pairs", str(tmp_path / "p.tsv"), "--audio", str(tmp_path))
    assert done.returncode == 1
    assert "p.tsv" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
