"""Packages that only the evaluation needs: imported by name when used, with one line of help when absent."""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from seedvc_live.errors import MissingPackageError

EXTRA = "pip install 'seedvc-live[evaluate]'"
RESEMBLYZER = "pip install --no-deps resemblyzer==0.1.4"

PACKAGES = ("torch", "resemblyzer", "faster_whisper", "speechmos", "swift_f0", "pyworld", "matplotlib")
"""Modules that `seedvc-live evaluate` uses beyond the package's own requirements."""

_DISTRIBUTIONS = {"faster_whisper": "faster-whisper", "swift_f0": "swift-f0", "resemblyzer": "Resemblyzer"}


def require(name: str) -> Any:
    """Import a module of the extra.

    Raises:
        MissingPackageError: it, or something it needs, is not installed.
    """
    try:
        with warnings.catch_warnings():
            # Deprecations inside other people's packages are nothing a user can act on.
            warnings.simplefilter("ignore")
            return importlib.import_module(name)
    except ImportError as error:
        remedy = f"{EXTRA} && {RESEMBLYZER}" if name.startswith("resemblyzer") else EXTRA
        raise MissingPackageError(f"evaluate needs {error.name or name}, which is not installed; {remedy}") from None


def require_all() -> None:
    """Fail early, before anything is loaded or converted, if a package is absent.

    Raises:
        MissingPackageError: names all that are absent, and how to install them.
    """
    absent = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if absent:
        remedy = f"{EXTRA} && {RESEMBLYZER}" if "resemblyzer" in absent else EXTRA
        raise MissingPackageError(f"evaluate needs {', '.join(absent)}; install with: {remedy}")


def versions() -> dict[str, str]:
    """Version of each package in `PACKAGES` and of the recogniser's runtime."""
    found = {}
    for name in (*PACKAGES, "ctranslate2"):
        try:
            found[name] = version(_DISTRIBUTIONS.get(name, name))
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
