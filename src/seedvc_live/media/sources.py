"""All sources in one place."""

from .device_source import LiveToneSource, MicSource, TestToneSource
from .file_source import FileSource
from .rtp_source import RtpSource
from .udp_source import UdpSource

__all__ = ["FileSource", "LiveToneSource", "MicSource", "RtpSource", "TestToneSource", "UdpSource"]
