"""All sinks in one place."""

from .file_sink import FileSink
from .net_sinks import RtpSink, SpeakerSink, UdpSink

__all__ = ["FileSink", "RtpSink", "SpeakerSink", "UdpSink"]
