"""GStreamer elements, made by factory and configured by `set_property`; never from a text description.

Works with and without Debian's Python overrides for GStreamer, from 1.20 on.
"""

from __future__ import annotations

import re
import threading
from itertools import pairwise
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
# GstApp gives appsink and appsrc their methods.
from gi.repository import Gio, GLib, GObject, Gst, GstApp

from ..errors import MediaError, MissingElementError

__all__ = [
    "DEBIAN_PACKAGES",
    "GLib",
    "Gio",
    "Gst",
    "GstApp",
    "audio_caps",
    "caps",
    "check_elements",
    "element_exists",
    "init",
    "link",
    "make",
    "new_pipeline",
]

_BASE = "gstreamer1.0-plugins-base"
_GOOD = "gstreamer1.0-plugins-good"
_BAD = "gstreamer1.0-plugins-bad"
_NICE = "gstreamer1.0-nice"
_CORE = "libgstreamer1.0-0"

DEBIAN_PACKAGES: dict[str, str] = {
    "capsfilter": _CORE,
    "fakesink": _CORE,
    "filesink": _CORE,
    "filesrc": _CORE,
    "queue": _CORE,
    "appsink": _BASE,
    "appsrc": _BASE,
    "audioconvert": _BASE,
    "audioresample": _BASE,
    "audiotestsrc": _BASE,
    "decodebin": _BASE,
    "giostreamsrc": _BASE,
    "oggdemux": _BASE,
    "opusdec": _BASE,
    "opusenc": _BASE,
    "vorbisdec": _BASE,
    "aacparse": _GOOD,
    "autoaudiosink": _GOOD,
    "autoaudiosrc": _GOOD,
    "flacdec": _GOOD,
    "flacenc": _GOOD,
    "flacparse": _GOOD,
    "matroskademux": _GOOD,
    "mpegaudioparse": _GOOD,
    "mpg123audiodec": _GOOD,
    "qtdemux": _GOOD,
    "rtpbin": _GOOD,
    "rtpjitterbuffer": _GOOD,
    "rtpopusdepay": _GOOD,
    "rtpopuspay": _GOOD,
    "udpsink": _GOOD,
    "udpsrc": _GOOD,
    "wavenc": _GOOD,
    "wavparse": _GOOD,
    "dtlsdec": _BAD,
    "faad": _BAD,
    "opusparse": _BAD,
    "srtpdec": _BAD,
    "webrtcbin": _BAD,
    "nicesink": _NICE,
    "nicesrc": _NICE,
}
"""Factory name -> Debian and Ubuntu package, for everything this package uses itself or through decodebin."""

_init_lock = threading.Lock()
_initialised = False
_NICK = re.compile(r"[a-z0-9-]+\Z")
_CAPS_NAME = re.compile(r"[a-z]+/[a-z-]+\Z")
_CAPS_FIELD = re.compile(r"[A-Za-z0-9_.-]+\Z")


def init() -> None:
    """Initialise GStreamer, once per process."""
    global _initialised
    with _init_lock:
        if not _initialised:
            Gst.init([])
            _initialised = True


def element_exists(factory: str) -> bool:
    """Whether a factory is registered, whatever its version.

    `gst-inspect-1.0 --exists` asks for the core's version and so denies nicesrc, which libnice versions
    itself.
    """
    init()
    return Gst.ElementFactory.find(factory) is not None


def check_elements(names: list[str] | None = None) -> list[str]:
    """The elements of `names` (default: all of `DEBIAN_PACKAGES`) that are not installed."""
    return [name for name in (names if names is not None else sorted(DEBIAN_PACKAGES)) if not element_exists(name)]


def make(factory: str, name: str | None = None, **properties: Any) -> Any:
    """A new element.

    Args:
        factory: such as "opusenc".
        name: the element's own name, for look-ups and messages.
        properties: underscores stand for hyphens. Enumerations are given by nick ("voice").

    Raises:
        MissingElementError: the factory is not installed; names the package that has it.
        ValueError: no such property, or an enumeration nick that is not a plain word.
    """
    init()
    if Gst.ElementFactory.find(factory) is None:
        raise MissingElementError(factory, DEBIAN_PACKAGES.get(factory))
    element = Gst.ElementFactory.make(factory, name)
    if element is None:
        raise MissingElementError(factory, DEBIAN_PACKAGES.get(factory))
    for key, value in properties.items():
        _set(element, factory, key.replace("_", "-"), value)
    return element


def _set(element: Any, factory: str, key: str, value: Any) -> None:
    spec = element.find_property(key)
    if spec is None:
        raise ValueError(f"{factory} has no property '{key}'")
    if isinstance(value, str) and GObject.type_is_a(spec.value_type, GObject.TYPE_ENUM):
        if not _NICK.match(value):
            raise ValueError(f"{factory}.{key}: '{value}' is not a plain word")
        Gst.util_set_object_arg(element, key, value)
    else:
        element.set_property(key, value)


def caps(name: str, **fields: str | int) -> Any:
    """Caps from a media type and fields, each checked to be a plain word or number.

    Raises:
        ValueError: a value could be read as caps syntax.
    """
    init()
    if not _CAPS_NAME.match(name):
        raise ValueError(f"'{name}' is not a media type")
    parts = [name]
    for key, value in fields.items():
        if isinstance(value, bool) or not isinstance(value, (int, str)):
            raise ValueError(f"caps field {key} must be a number or a word, got {value!r}")
        if isinstance(value, str) and not _CAPS_FIELD.match(value):
            raise ValueError(f"caps field {key}: '{value}' is not a plain word")
        kind = "int" if isinstance(value, int) else "string"
        parts.append(f"{key.replace('_', '-')}=({kind}){value}")
    return Gst.Caps.from_string(",".join(parts))


def audio_caps(sample_format: str = "F32LE", rate: int | None = None, channels: int | None = None) -> Any:
    """Interleaved raw audio; rate (Hz) and channels stay open where None."""
    fields: dict[str, str | int] = {"format": sample_format, "layout": "interleaved"}
    if rate is not None:
        fields["rate"] = rate
    if channels is not None:
        fields["channels"] = channels
    return caps("audio/x-raw", **fields)


def new_pipeline(*elements: Any) -> Any:
    """A pipeline that holds the elements, not yet linked."""
    init()
    pipeline = Gst.Pipeline.new(None)
    for element in elements:
        pipeline.add(element)
    return pipeline


def link(*elements: Any) -> None:
    """Link elements of one pipeline in a row.

    Raises:
        MediaError: two neighbours have no format in common.
    """
    for left, right in pairwise(elements):
        if not left.link(right):
            raise MediaError(f"GStreamer elements {left.get_name()} and {right.get_name()} cannot be linked")


def seconds_to_ns(seconds: float) -> int:
    """Seconds as GStreamer's nanoseconds."""
    return round(seconds * 1_000_000_000)


def glib_error_text(error: GLib.Error) -> str:
    """The message of a GLib error on one line."""
    return " ".join(str(error.message).split())
