"""What an installation brings: light by default, torch with the extras that say so."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, requires

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HEAVY = {"torch", "transformers", "huggingface-hub", "faster-whisper", "librosa", "scipy", "matplotlib", "onnx"}


def brought(name: str, extras: frozenset[str] = frozenset()) -> set[str]:
    """The package and all that it needs here, by the installed packages' own metadata."""
    found: set[str] = set()
    waiting = [(name, extras)]
    while waiting:
        package, wanted = waiting.pop()
        if package in found and not wanted:
            continue
        found.add(package)
        try:
            lines = requires(package) or []
        except PackageNotFoundError:  # of an extra that is not installed
            continue
        for requirement in map(Requirement, lines):
            environments = [{"extra": extra} for extra in wanted] or [{"extra": ""}]
            marker = requirement.marker
            if marker is None or any(marker.evaluate(environment) for environment in environments):
                following = (canonicalize_name(requirement.name), frozenset(requirement.extras))
                if following[0] not in found or following[1]:
                    waiting.append(following)
    return found


def test_the_default_install_is_light() -> None:
    found = brought("seedvc-live")
    assert {"numpy", "onnxruntime", "pygobject", "click"} <= found
    assert found & HEAVY == set()
    assert len(found) < 45, sorted(found)


@pytest.mark.parametrize("package", ["torch", "transformers", "huggingface-hub", "pyyaml"])
def test_the_seed_vc_extra_brings_what_the_engine_needs(package) -> None:
    assert package in brought("seedvc-live", frozenset({"seed-vc"}))
