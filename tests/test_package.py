"""The package's surface and its house rules."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import seedvc_live

SRC = Path(seedvc_live.__file__).parent


@pytest.mark.parametrize("name", seedvc_live.__all__)
def test_every_name_in_all_can_be_imported(name) -> None:
    assert getattr(seedvc_live, name) is not None


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="nothing_here"):
        _ = seedvc_live.nothing_here


def imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", ["audio", "live"])
def test_pure_packages_know_neither_gstreamer_nor_torch_nor_a_clock(package) -> None:
    for path in (SRC / package).glob("*.py"):
        found = imports(path) & {"gi", "torch", "asyncio"}
        assert not found, f"{path.name} imports {found}"
    for path in (SRC / "live").glob("*.py"):
        assert "time" not in imports(path), path.name


def test_media_knows_no_engines_and_engines_know_no_media() -> None:
    for path in (SRC / "media").glob("*.py"):
        assert "engines" not in path.read_text(), path.name
    for path in (SRC / "engines").rglob("*.py"):
        assert "seedvc_live.media" not in path.read_text(), path.name


def test_importing_the_package_loads_neither_gstreamer_nor_a_model() -> None:
    code = "import sys, seedvc_live.cli; print([m for m in ('gi', 'torch', 'onnxruntime') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_all_weights_together_stay_below_60_megabytes() -> None:
    total = sum(path.stat().st_size for path in SRC.rglob("*") if path.suffix in {".onnx", ".npz", ".safetensors"})
    assert 0 < total <= 60_000_000


def test_the_version_is_the_newest_in_the_changelog() -> None:
    changelog = SRC.parents[1] / "CHANGELOG.md"
    newest = next(line for line in changelog.read_text().splitlines() if line.startswith("## ["))
    assert f"[{seedvc_live.__version__}]" in newest
