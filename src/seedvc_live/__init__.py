"""Real-time, zero-shot voice conversion over GStreamer.

Names are imported when they are used: `import seedvc_live` loads neither GStreamer nor a model.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from seedvc_live._version import __version__

if TYPE_CHECKING:
    from seedvc_live.audio.buffer import AudioBuffer
    from seedvc_live.audio.pcm import Pcm
    from seedvc_live.engines.base import Engine, Geometry, Settings, Voice
    from seedvc_live.engines.registry import load_engine
    from seedvc_live.live.converter import LiveConverter
    from seedvc_live.media.bridge import GStreamerAudioBridge
    from seedvc_live.media.load import load_audio, save_audio
    from seedvc_live.wrapper import SeedVCWrapper

_HOMES = {
    "AudioBuffer": "audio.buffer",
    "Engine": "engines.base",
    "GStreamerAudioBridge": "media.bridge",
    "Geometry": "engines.base",
    "LiveConverter": "live.converter",
    "Pcm": "audio.pcm",
    "SeedVCWrapper": "wrapper",
    "Settings": "engines.base",
    "Voice": "engines.base",
    "load_audio": "media.load",
    "load_engine": "engines.registry",
    "save_audio": "media.load",
}

__all__ = [
    "AudioBuffer",
    "Engine",
    "GStreamerAudioBridge",
    "Geometry",
    "LiveConverter",
    "Pcm",
    "SeedVCWrapper",
    "Settings",
    "Voice",
    "__version__",
    "load_audio",
    "load_engine",
    "save_audio",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"seedvc_live.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'seedvc_live' has no attribute '{name}'")
