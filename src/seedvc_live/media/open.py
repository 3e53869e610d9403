"""Sources and sinks for addresses."""

from __future__ import annotations

from typing import Any

from seedvc_live.errors import SettingsError
from seedvc_live.media.sinks import FileSink, RtpSink, SpeakerSink, UdpSink
from seedvc_live.media.sources import FileSource, MicSource, RtpSource, TestToneSource, UdpSource
from seedvc_live.media.types import Sink, Source
from seedvc_live.media.uri import Address

DEFAULT_UDP_RATE = 22_050


def open_source(address: Address, rate: int) -> Source:
    """The source at `address`, not started, delivering mono at `rate` Hz.

    Raises:
        SettingsError: the address is no source.
        InputError: the address cannot be listened on.
    """
    given: dict[str, Any] = dict(address.parameters)
    if address.kind == "file":
        return FileSource(address.path, rate)
    if address.kind == "rtp":
        return RtpSource(address.port, address.host, rate, latency_ms=given.get("latency", 40))
    if address.kind == "udp":
        return UdpSource(
            address.port,
            address.host,
            rate,
            sender_rate=given.get("rate", DEFAULT_UDP_RATE),
            sender_channels=given.get("channels", 1),
            sample_format=given.get("format", "f32le"),
        )
    if address.kind == "test":
        return TestToneSource(given.get("freq", 440.0), rate)
    if address.kind == "mic":
        return MicSource(rate)
    raise SettingsError("input", f"{address.kind}: is no input")


def open_sink(address: Address, rate: int, out_rate: int | None = None) -> Sink:
    """The sink at `address`, not started, taking mono at `rate` Hz.

    Args:
        out_rate: of the file or of raw UDP, Hz; by default `rate` for files and 22,050 for UDP.

    Raises:
        SettingsError: the address is no sink.
        OutputError: it cannot be written to.
    """
    given: dict[str, Any] = dict(address.parameters)
    if address.kind == "file":
        return FileSink(address.path, rate, file_rate=out_rate)
    if address.kind == "rtp":
        return RtpSink(address.host, address.port, rate, bitrate=given.get("bitrate", 32_000))
    if address.kind == "udp":
        if given.get("channels", 1) != 1:
            raise SettingsError("output", "raw UDP is sent with one channel")
        return UdpSink(
            address.host,
            address.port,
            rate,
            send_rate=out_rate or given.get("rate", DEFAULT_UDP_RATE),
            sample_format=given.get("format", "f32le"),
        )
    if address.kind == "speaker":
        return SpeakerSink(rate)
    raise SettingsError("output", f"{address.kind}: is no output")
