"""DNSMOS P.835 (C. Reddy, V. Gopal, R. Cutler, ICASSP 2022): quality as a listener would rate it, 1 … 5."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seedvc_live.audio.pcm import Pcm
from seedvc_live.audio.resample import resample
from seedvc_live.evaluate.extras import require

RATE = 16000
_WINDOW = int(9.01 * RATE)

# From the network's raw answers to the scale of the listening test, as published with it.
_SIGNAL = np.poly1d([-0.08397278, 1.22083953, 0.0052439])
_BACKGROUND = np.poly1d([-0.13166888, 1.60915514, -0.39604546])
_OVERALL = np.poly1d([-0.06766283, 1.11546468, 0.04602535])


@dataclass(frozen=True)
class Quality:
    """Mean opinion scores, 1 … 5: of the voice itself, of the background, overall (OVRL)."""

    signal: float
    background: float
    overall: float


class Dnsmos:
    """The network of package speechmos, in windows of 9.01 s every second, on one core.

    The package's own session takes every core there is, and runs a second network that is not reported here;
    the figures are the same.

    Raises:
        MissingPackageError: speechmos is not installed.
    """

    def __init__(self) -> None:
        from seedvc_live.engines.nano.networks import open_session

        package = Path(require("speechmos").__file__).parent
        self._session = open_session(package / "dnsmos_models" / "sig_bak_ovr.onnx")

    def score(self, clip: Pcm) -> Quality:
        """Mean over the clip's windows; a clip shorter than one is repeated to fill it."""
        samples = np.clip(resample(clip, RATE).samples, -1, 1)
        if not len(samples):
            samples = np.zeros(_WINDOW, np.float32)
        while len(samples) < _WINDOW:
            samples = np.concatenate([samples, samples])
        count = int(len(samples) // RATE - 9.01) + 1
        starts = [hop * RATE for hop in range(max(1, count)) if hop * RATE + _WINDOW <= len(samples)]
        raw = np.array([self._session.run(None, {"input_1": samples[None, at : at + _WINDOW]})[0][0] for at in starts])
        scales = (_SIGNAL, _BACKGROUND, _OVERALL)
        return Quality(*(float(np.mean(scale(raw[:, i]))) for i, scale in enumerate(scales)))
