"""What the option `--vectors FOLDER` means, and what the tests of this folder share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

BUNDLED = Path(__file__).parents[2] / "data" / "seedvc"

Vector = dict[str, Any]


def vectors_folder(config: pytest.Config) -> Path:
    return config.getoption("--vectors", default=None) or BUNDLED


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marker = metafunc.definition.get_closest_marker("vector_files")
    if marker is None:
        return
    folder = vectors_folder(metafunc.config)
    files = sorted(folder.glob(marker.args[0]))
    metafunc.parametrize("file", files, ids=[str(f.relative_to(folder)) for f in files])


@pytest.fixture(scope="session")
def vectors(request: pytest.FixtureRequest) -> Path:
    return vectors_folder(request.config)


@pytest.fixture(autouse=True)
def _one_thread_no_gradients() -> Any:
    torch.set_num_threads(1)
    with torch.inference_mode():
        yield


def load(path: Path) -> Vector:
    """An .npz as tensors (floating point and integer arrays)."""
    with np.load(path) as arrays:
        return {name: torch.from_numpy(np.asarray(arrays[name])) for name in arrays.files}


def assert_near(actual: Any, recorded: Any, tolerance: float) -> None:
    """Largest difference, in units of the recorded rms, within the tolerance."""
    actual, recorded = np.asarray(actual), np.asarray(recorded)
    assert actual.shape == recorded.shape
    rms = float(np.sqrt(np.mean(np.square(recorded, dtype=np.float64))))
    error = float(np.max(np.abs(actual.astype(np.float64) - recorded))) / rms
    assert error <= tolerance, f"{error:.3g} x rms, allowed {tolerance:g}"
