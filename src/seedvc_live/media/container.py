"""Whether an audio file is all there, from its container's own lengths: no decoding, a few reads.

GStreamer's demuxers play a file that was cut short to its end and say nothing. So the container is asked
how long it should be: RIFF/WAVE chunk sizes (Microsoft/IBM, Multimedia Programming Interface, 1991), ISO
base media boxes (ISO/IEC 14496-12), Ogg page flags (RFC 3533), FLAC's STREAMINFO (RFC 9639), the Xing/Info
frame of MP3.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import BinaryIO

# Written by recorders to a pipe, or by one that was interrupted: "as long as it is".
_UNKNOWN_LENGTH = 0x7FFF0000
_TAIL = 65536 + 512  # an Ogg page is at most 65,307 bytes


def missing_part(path: Path) -> str | None:
    """One line that says what the container promises and the file lacks; None when nothing is known to lack.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(64)
        if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
            return _wav(file, size)
        if head[4:8] == b"ftyp":
            return _mp4(file, size)
        if head[:4] == b"OggS":
            return _ogg(file, size)
        if head[:3] == b"ID3" or (len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0):
            return _mp3(file, size)
    return None


def flac_sample_count(path: Path) -> int | None:
    """The number of samples that a FLAC file's STREAMINFO promises; None for other files or when not
    stated.
    """
    with path.open("rb") as file:
        head = file.read(42)
    if len(head) < 42 or head[:4] != b"fLaC" or head[4] & 0x7F != 0:
        return None
    return (((head[21] & 0x0F) << 32) | int.from_bytes(head[22:26], "big")) or None


def _wav(file: BinaryIO, size: int) -> str | None:
    at = 12
    while at + 8 <= size:
        file.seek(at)
        name, length = struct.unpack("<4sI", file.read(8))
        if name == b"data":
            there = size - at - 8
            if length < _UNKNOWN_LENGTH and there < length:
                return f"the header announces {length} bytes of audio, {there} are there"
            return None
        at += 8 + length + (length & 1)
    return None


def _mp4(file: BinaryIO, size: int) -> str | None:
    at = 0
    while at + 8 <= size:
        file.seek(at)
        header = file.read(16)
        length = int.from_bytes(header[:4], "big")
        if length == 1 and len(header) == 16:
            length = int.from_bytes(header[8:16], "big")
        if length == 0:  # to the end of the file
            return None
        if length < 8:
            return None
        if at + length > size:
            box = header[4:8].decode("latin-1")
            return f"its '{box}' box announces {length} bytes, {size - at} are there"
        at += length
    return None


def _ogg(file: BinaryIO, size: int) -> str | None:
    file.seek(max(0, size - _TAIL))
    tail = file.read()
    at = tail.rfind(b"OggS")
    while at >= 0:
        header = tail[at : at + 27]
        if len(header) == 27:
            lacing = tail[at + 27 : at + 27 + header[26]]
            whole = len(lacing) == header[26] and at + 27 + len(lacing) + sum(lacing) <= len(tail)
            if not whole:
                return "its last page is incomplete"
            return None if header[5] & 4 else "its last page is missing"
        at = tail.rfind(b"OggS", 0, at)
    return "its last page is missing"


def _mp3(file: BinaryIO, size: int) -> str | None:
    file.seek(0)
    head = file.read(10)
    start = 0
    if head[:3] == b"ID3" and len(head) == 10:
        start = 10 + (head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9])
    file.seek(start)
    frame = file.read(2048)
    for tag in (b"Xing", b"Info"):
        at = frame.find(tag, 0, 64)
        if at >= 0 and len(frame) >= at + 16:
            flags = int.from_bytes(frame[at + 4 : at + 8], "big")
            if flags & 2:
                offset = at + 8 + (4 if flags & 1 else 0)
                length = int.from_bytes(frame[offset : offset + 4], "big")
                if size - start < length:
                    return f"the header announces {length} bytes of audio, {size - start} are there"
    return None
