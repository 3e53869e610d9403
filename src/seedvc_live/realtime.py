"""Whether an engine keeps up with a live stream on this machine, asked before the stream begins."""

from __future__ import annotations

import logging

from seedvc_live.engine_thread import block_seconds, reserve_for
from seedvc_live.engines.base import Engine, Settings, Voice
from seedvc_live.errors import TooSlowError

_LOG = logging.getLogger(__name__)

NEAR = 0.8
"""Share of real time from which on other work on the machine is likely to be heard."""


def require_real_time(engine: Engine, voice: Voice, settings: Settings, *, allow_slow: bool = False) -> float:
    """Measure a few blocks; warn where it is tight.

    Args:
        allow_slow: only warn where the engine cannot keep up.

    Returns:
        seconds of delay to reserve for converting a block (see `LiveSession`).

    Raises:
        TooSlowError: the engine cannot keep up; the message has the figure.
    """
    measured = block_seconds(engine, voice, settings)
    factor = min(measured) * engine.sample_rate / engine.geometry(settings, voice).block
    judge(engine.name, factor, allow_slow=allow_slow)
    return reserve_for(measured)


def judge(engine: str, factor: float, *, allow_slow: bool = False) -> None:
    """Say what a real-time factor (seconds of computing per second of audio of one stream) means for a live stream.

    Raises:
        TooSlowError: it is above 1 and not allowed.
    """
    needs = f"engine '{engine}' needs {factor:.2g} s of computing per second of audio at these settings here"
    if factor > 1 and not allow_slow:
        raise TooSlowError(
            f"{needs}: a live stream would stutter. Convert files, use a GPU (--device cuda), longer blocks and fewer "
            f"steps (docs/seed-vc.md), or --engine nano; --allow-slow streams all the same"
        )
    if factor > NEAR:
        _LOG.warning("%s: %s", needs, "a live stream will stutter" if factor > 1 else "that is little to spare")
