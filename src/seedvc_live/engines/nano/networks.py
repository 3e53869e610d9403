"""The networks of the package: ONNX Runtime sessions, one thread each."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from seedvc_live.errors import ModelFileError

WEIGHTS = Path(__file__).parent / "weights"
FILES = ("content.onnx", "decoder.onnx", "pitch.onnx", "speaker.onnx", "constants.npz")


def open_session(path: Path) -> Any:
    """An ONNX Runtime session on one core.

    Raises:
        ModelFileError: the file is missing or damaged.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has an exception class per kind of damage
        reason = str(error).splitlines()[0]
        raise ModelFileError(f"cannot load {path} ({reason}); reinstall seedvc-live") from None


def load_constants(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Arrays the networks were trained with: feature means, key projection, scales.

    Raises:
        ModelFileError: the file is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError) as error:
        raise ModelFileError(f"cannot load {path} ({error}); reinstall seedvc-live") from None


def hash_of(folder: Path) -> str:
    """SHA-256 over the weight files, in the order of their names.

    Raises:
        ModelFileError: one is missing.
    """
    digest = hashlib.sha256()
    for name in sorted(FILES):
        try:
            digest.update((folder / name).read_bytes())
        except OSError as error:
            raise ModelFileError(f"cannot read {folder / name} ({error}); reinstall seedvc-live") from None
    return digest.hexdigest()
