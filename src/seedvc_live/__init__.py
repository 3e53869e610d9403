"""Real-time, zero-shot voice conversion over GStreamer."""

from seedvc_live._version import __version__

__all__ = ["__version__"]
