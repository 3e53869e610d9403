"""Speaker embedding of a clip, by CAM++ (H. Wang et al., Interspeech 2023)."""

from __future__ import annotations

from typing import Any

import kaldi_native_fbank as knf
import numpy as np
import numpy.typing as npt

from seedvc_live.engines.nano import grid

Array = npt.NDArray[np.float32]


def fbank(samples: Array) -> Array:
    """Kaldi's log-mel filterbank, 80 bins, 25/10 ms, mean over time removed; 16 kHz (n,) → (frames, 80)."""
    options = knf.FbankOptions()
    options.frame_opts.samp_freq = grid.ANALYSIS_RATE
    options.frame_opts.dither = 0.0
    options.mel_opts.num_bins = 80
    bank = knf.OnlineFbank(options)
    bank.accept_waveform(grid.ANALYSIS_RATE, samples.tolist())
    bank.input_finished()
    frames = np.stack([bank.get_frame(i) for i in range(bank.num_frames_ready)]).astype(np.float32)
    return np.asarray(frames - frames.mean(0), np.float32)


def embed(session: Any, samples: Array) -> Array:
    """Embedding of 16 kHz speech of at least half a second, length 1, shape (192,)."""
    embedding = session.run(["embedding"], {"fbank": fbank(samples)[None]})[0][0]
    return np.asarray(embedding / (np.linalg.norm(embedding) + 1e-9), np.float32)
