"""What a file is, told from its content, never from its name."""

from __future__ import annotations

from typing import Literal, get_args

Kind = Literal["wav", "flac", "ogg", "mp3", "webm", "mp4"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_MPEG_LAYER_3 = 1
_SCAN = 65536


def clip_kind(data: bytes) -> Kind | None:
    """The container of a clip, or None when it is none of `KINDS`.

    By the signatures of RIFF/WAVE, FLAC (RFC 9639), Ogg (RFC 3533), EBML (RFC 8794), ISO base media
    (ISO/IEC 14496-12), ID3v2 and MPEG audio layer III (ISO/IEC 11172-3).
    """
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return "wav"
    if data[:4] == b"fLaC":
        return "flac"
    if data[:4] == b"OggS":
        return "ogg"
    if data[:4] == b"\x1aE\xdf\xa3":
        return "webm"
    if data[4:8] == b"ftyp":
        return "mp4"
    start = id3_length(data)
    if _layer_3_frames(data[start : start + _SCAN]):
        return "mp3"
    return None


def id3_length(data: bytes) -> int:
    """Bytes of the ID3v2 tags at the begin: pictures and text, nothing that a decoder needs to see."""
    at = 0
    while data[at : at + 3] == b"ID3" and len(data) >= at + 10:
        size = data[at + 6 : at + 10]
        footer = 10 if data[at + 5] & 0x10 else 0
        at += 10 + (size[0] << 21 | size[1] << 14 | size[2] << 7 | size[3]) + footer
    return min(at, len(data))


def _layer_3_frames(data: bytes) -> bool:
    """Whether two MPEG layer III frames follow each other: one sync word alone is found in any noise."""
    padded = data.lstrip(b"\0")  # some taggers pad
    first = _frame_length(padded)
    return first > 0 and (_frame_length(padded[first:]) > 0 or len(padded) <= first)


_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_KBITS_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBITS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)


def _frame_length(data: bytes) -> int:
    """Bytes of the layer III frame that begins here; 0 when none does."""
    if len(data) < 4 or data[0] != 0xFF or data[1] & 0xE0 != 0xE0:
        return 0
    version, layer = data[1] >> 3 & 3, data[1] >> 1 & 3
    bitrate, rate = data[2] >> 4, data[2] >> 2 & 3
    if version not in _RATES or layer != _MPEG_LAYER_3 or bitrate in (0, 15) or rate == 3:
        return 0
    kbits = _KBITS_1 if version == 3 else _KBITS_2
    samples = 1152 if version == 3 else 576
    return samples // 8 * kbits[bitrate] * 1000 // _RATES[version][rate] + (data[2] >> 1 & 1)
