"""Decodes a short clip from memory, by fixed chains of elements: no element is chosen by the clip.

decodebin would try every demuxer and decoder that is installed. Here the caller says which container it
is, and of what that holds only the listed codecs are decoded.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from ..audio.pcm import Pcm
from ..errors import ClipRejectedError, MissingElementError
from .bus import BusWatch
from .elements import (
    DEBIAN_PACKAGES,
    Gio,
    GLib,
    Gst,
    audio_caps,
    element_exists,
    link,
    make,
    new_pipeline,
    seconds_to_ns,
)
from .types import AudioArray

MAX_CHANNELS = 8
RATES = range(8000, 192_001)

_DEMUXERS: dict[str, tuple[str, ...]] = {
    "wav": ("wavparse",),
    "flac": ("flacparse",),
    "mp3": ("mpegaudioparse",),
    "ogg": ("oggdemux",),
    "webm": ("matroskademux",),
    "mp4": ("qtdemux",),
}

# Media type of a demuxer's pad -> alternatives -> chain of elements.
_RAW: tuple[tuple[str, ...], ...] = ((),)
_OPUS = (("opusdec",),)
_FLAC = (("flacparse", "flacdec"),)
_DECODERS: dict[str, dict[str, tuple[tuple[str, ...], ...]]] = {
    "wav": {"audio/x-raw": _RAW},
    "flac": {"audio/x-flac": (("flacdec",),)},
    "mp3": {"audio/mpeg": (("mpg123audiodec",),)},
    "ogg": {"audio/x-opus": _OPUS, "audio/x-vorbis": (("vorbisdec",),), "audio/x-flac": _FLAC},
    "webm": {"audio/x-raw": _RAW, "audio/x-opus": _OPUS, "audio/x-vorbis": (("vorbisdec",),)},
    "mp4": {
        "audio/mpeg": (("aacparse", "faad"), ("aacparse", "fdkaacdec"), ("aacparse", "avdec_aac")),
        "audio/x-opus": _OPUS,
        "audio/x-flac": _FLAC,
    },
}


class ClipDecoder:
    """Decodes one clip. All plugins that it can need are loaded when it is made, before it sees the bytes.

    Args:
        kind: the container, a key of `_DEMUXERS` ("wav", "flac", "ogg", "mp3", "webm", "mp4").

    Raises:
        MissingElementError: a plugin is not installed.
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._demuxers = [make(name) for name in _DEMUXERS[kind]]
        self._chains = {name: [make(e) for e in _installed(found)] for name, found in _DECODERS[kind].items()}
        self._convert = make("audioconvert")
        self._sink = make("appsink", caps=audio_caps(), sync=False, max_buffers=8, drop=False)
        self._sink.set_property("enable-last-sample", False)
        self._ignored: list[str] = []

    def decode(self, data: bytes, keep: float, at_most: float, seconds: float) -> tuple[Pcm, float]:
        """Decode, mixed to mono at the clip's own rate.

        Args:
            data: the whole file.
            keep: seconds to return; the rest is only counted.
            at_most: seconds of audio after which decoding stops.
            seconds: of wall clock, the same.

        Returns:
            What was decoded, up to `keep` seconds (a clip that breaks off gives what there is), and how
            many seconds there are.

        Raises:
            ClipRejectedError: ("not-audio") nothing can be decoded.
        """
        # A read-only stream over the bytes: what is decoded is what was looked at.
        source = make("giostreamsrc", stream=Gio.MemoryInputStream.new_from_bytes(GLib.Bytes.new(data)))
        pipeline = new_pipeline(source, *self._demuxers, self._convert, self._sink)
        link(source, *self._demuxers)
        link(self._convert, self._sink)
        demuxer = self._demuxers[-1]
        static = demuxer.get_static_pad("src")
        signals = []
        if static is not None:
            chain = next(iter(self._chains.values()))
            for element in chain:
                pipeline.add(element)
            link(demuxer, *chain, self._convert)
        else:
            signals = [demuxer.connect("pad-added", self._on_pad)]
        bus = BusWatch(pipeline)
        try:
            pipeline.set_state(Gst.State.PLAYING)
            return self._read(bus, keep, at_most, time.monotonic() + seconds)
        finally:
            for signal in signals:
                demuxer.disconnect(signal)
            pipeline.set_state(Gst.State.NULL)
            bus.close()

    def _on_pad(self, demuxer: Any, pad: Any) -> None:
        described = pad.get_current_caps() or pad.query_caps(None)
        name = described.get_structure(0).get_name()
        inlet = self._convert.get_static_pad("sink")
        if inlet.is_linked() or name not in self._chains:
            if name.startswith("audio/"):
                self._ignored.append(name)
            return
        chain = self._chains[name]
        for element in chain:
            demuxer.get_parent().add(element)
        link(*chain, self._convert)
        pad.link(chain[0].get_static_pad("sink") if chain else inlet)
        for element in reversed(chain):
            element.sync_state_with_parent()

    def _read(self, bus: BusWatch, keep: float, at_most: float, deadline: float) -> tuple[Pcm, float]:
        parts: list[AudioArray] = []
        rate = length = 0
        why = ""
        while not (rate and length > at_most * rate):
            if time.monotonic() > deadline:
                why = "decoding it takes too long"
                break
            sample = self._sink.try_pull_sample(seconds_to_ns(0.1))
            if sample is None:
                bus.poll()
                if bus.error is not None:
                    why = bus.error.text
                    break
                if self._sink.get_property("eos"):
                    break
                continue
            structure = sample.get_caps().get_structure(0)
            count = structure.get_int("channels")[1]
            found = structure.get_int("rate")[1]
            if found not in RATES or not 1 <= count <= MAX_CHANNELS:
                raise ClipRejectedError("not-audio", f"{count} channels at {found} Hz are not a recording of a voice")
            if rate not in (0, found):  # chained streams: the first is the clip
                break
            rate = found
            buffer = sample.get_buffer()
            data = np.frombuffer(buffer.extract_dup(0, buffer.get_size()), dtype="<f4").reshape(-1, count)
            if length < keep * rate:
                parts.append(data.mean(axis=1, dtype=np.float32))
            length += len(data)
        if length == 0:
            raise ClipRejectedError("not-audio", self._reason(why))
        return Pcm(np.concatenate(parts), rate).head(keep), length / rate

    def _reason(self, why: str) -> str:
        if self._ignored:
            return f"the {self._kind} file holds {self._ignored[0]}, which is not decoded"
        return f"no audio can be decoded from the {self._kind} file" + (f": {why}" if why else "")


def _installed(alternatives: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    for chain in alternatives:
        if all(element_exists(name) for name in chain):
            return chain
    missing = next(name for name in alternatives[0] if not element_exists(name))
    raise MissingElementError(missing, DEBIAN_PACKAGES.get(missing))
