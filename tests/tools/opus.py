"""Opus as a browser's receiver decodes it: libopus, with concealment and in-band error correction (RFC 6716)."""

from __future__ import annotations

import ctypes
import ctypes.util

import numpy as np

RATE = 48_000
_STEP = RATE * 25 // 10_000  # the shortest frame
_LONGEST = RATE * 120 // 1000


class OpusDecoder:
    """One mono stream at 48 kHz."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(ctypes.util.find_library("opus") or "libopus.so.0")
        self._library.opus_decoder_create.restype = ctypes.c_void_p
        self._library.opus_decoder_create.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.POINTER(ctypes.c_int)]
        pointers = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_int]
        self._library.opus_decode_float.argtypes = pointers
        self._library.opus_decoder_destroy.argtypes = [ctypes.c_void_p]
        error = ctypes.c_int(0)
        self._decoder = self._library.opus_decoder_create(RATE, 1, ctypes.byref(error))
        if error.value:
            raise RuntimeError(f"opus_decoder_create: {error.value}")

    def __del__(self) -> None:
        self._library.opus_decoder_destroy(self._decoder)

    def decode(self, packet: bytes) -> np.ndarray:
        """The samples of a packet."""
        return self._decode(packet, _LONGEST, False)

    def correct(self, following: bytes, samples: int) -> np.ndarray:
        """What stands for a lost packet: the copy in the one that follows it, or concealment if it has none."""
        return self._decode(following, samples, True)

    def conceal(self, samples: int) -> np.ndarray:
        """What stands for a lost packet whose follower is lost too."""
        return self._decode(None, samples, False)

    def _decode(self, packet: bytes | None, samples: int, correct: bool) -> np.ndarray:
        out = np.zeros(samples, dtype=np.float32)
        length = len(packet) if packet else 0
        count = self._library.opus_decode_float(self._decoder, packet, length, out.ctypes.data, samples, int(correct))
        if count < 0:
            raise ValueError(f"opus_decode_float: {count}")
        return out[:count]


def decode_packets(sequence: np.ndarray, stamps: np.ndarray, payloads: list[bytes]) -> tuple[np.ndarray, int]:
    """What a receiver with a deep enough buffer plays: as many samples as the time stamps say.

    Args:
        sequence, stamps: unwrapped, of each packet that arrived, in any order.

    Returns:
        Mono samples from the first packet's time stamp on, and how many of them stand for lost packets.
    """
    order = np.argsort(sequence)
    decoder = OpusDecoder()
    first = int(stamps[order[0]])
    parts: list[np.ndarray] = []
    length = lost = 0
    frame = int(np.median(np.diff(stamps[order]))) // _STEP * _STEP or 960
    for index in order:
        missing = int(stamps[index]) - first - length
        if missing < 0:  # a double
            continue
        for left in range(missing // frame, 0, -1):
            parts.append(decoder.correct(payloads[index], frame) if left == 1 else decoder.conceal(frame))
            lost += frame
        # Less than a frame is no loss: the sender's media time jumped.
        parts.append(np.zeros(missing % frame, dtype=np.float32))
        length += missing
        parts.append(decoder.decode(payloads[index]))
        length += len(parts[-1])
    return np.concatenate(parts), lost
