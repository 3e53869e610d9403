"""Copies of a source as the field delivers them: noise, a small room, a telephone band, a low level, overdriven,
whispered."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from seedvc_live.audio.pcm import Pcm
from seedvc_live.errors import SettingsError

Array = npt.NDArray[np.float64]

SPEED_OF_SOUND = 343.0
"""Metres per second, at 20 °C."""
ROOM = (4.0, 3.0, 2.5)
"""Length, width, height in metres."""
TALKER, MICROPHONE = (1.2, 1.1, 1.5), (2.6, 1.9, 1.2)
"""Positions in the room: 1.6 m apart."""
REFLECTION = 0.82
"""Of each wall, for pressure; gives a reverberation time of about 0.25 s (Sabine)."""
NOISE_SNR = 10.0
"""dB between the speech's active level and the noise."""
QUIET_GAIN = -30.0
"""dB."""
BAND = (300.0, 3400.0)
"""Hz."""
OVERDRIVE = 12.0
"""dB by which the loudest moment is too loud for the microphone."""
WHISPER_EDGE = 1000.0
"""Hz below which a whisper has less than speech: 6 dB an octave."""
_DETAIL = 0.0015
"""Seconds of quefrency up to which a whisper's spectrum follows the speech's: formants, no harmonics."""


def active_rms(samples: npt.NDArray[np.floating]) -> float:
    """Level while somebody speaks: RMS of the 20 ms pieces that are within 30 dB of the loudest."""
    size = 320
    pieces = samples[: len(samples) // size * size].reshape(-1, size).astype(np.float64)
    if not len(pieces):
        return float(np.sqrt(np.mean(samples.astype(np.float64) ** 2))) if len(samples) else 0.0
    power = (pieces**2).mean(1)
    return float(np.sqrt(power[power >= power.max() * 1e-3].mean()))


def pink_noise(n: int, rate: int, seed: int) -> Array:
    """Noise whose power falls by 3 dB per octave above 50 Hz, RMS 1, shape (n,)."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).normal(size=n))
    frequency = np.maximum(np.fft.rfftfreq(n, 1.0 / rate), 50.0)
    noise = np.fft.irfft(spectrum / np.sqrt(frequency), n)
    return np.asarray(noise / np.sqrt(np.mean(noise**2)))


def room_response(rate: int, seconds: float = 0.4) -> Array:
    """Impulse response of `ROOM` by the image method (J. Allen, D. Berkley, JASA 1979), shape (n,).

    The direct sound is sample 0, with amplitude 1, so that the copy stays aligned with the source.
    """
    reach = seconds * SPEED_OF_SOUND
    counts = [int(np.ceil(reach / (2 * size))) for size in ROOM]
    axes = []
    for size, talker, microphone, count in zip(ROOM, TALKER, MICROPHONE, counts, strict=True):
        order = np.arange(-count, count + 1)
        # Even images lie in front of, odd ones behind a wall; each has met so many walls.
        distance = np.concatenate([2 * order * size + talker, 2 * order * size - talker]) - microphone
        bounces = np.concatenate([2 * np.abs(order), np.abs(order) + np.abs(order - 1)])
        axes.append((distance, bounces))
    (x, bx), (y, by), (z, bz) = axes
    distance = np.sqrt(x[:, None, None] ** 2 + y[None, :, None] ** 2 + z[None, None, :] ** 2).ravel()
    bounces = (bx[:, None, None] + by[None, :, None] + bz[None, None, :]).ravel()
    direct = float(distance.min())
    # Linear interpolation between samples keeps the reflections' times exact enough for speech.
    delay = (distance - direct) / SPEED_OF_SOUND * rate
    strength = direct / distance * REFLECTION**bounces
    n = round(seconds * rate)
    whole = np.floor(delay).astype(int)
    inside = whole < n - 1
    response = np.zeros(n)
    part = delay[inside] - whole[inside]
    np.add.at(response, whole[inside], strength[inside] * (1 - part))
    np.add.at(response, whole[inside] + 1, strength[inside] * part)
    # All images are positive, and would add up to a rumble that no room has: a first-order high pass at 50 Hz,
    # where Allen and Berkley have theirs too.
    pole = np.exp(-2 * np.pi * 50.0 / rate)
    block = -(1 - pole) * pole ** np.arange(-1.0, n - 1)
    block[0] = 1.0
    return _convolve(response, block)[:n]


def _noise(samples: Array, rate: int, seed: int) -> Array:
    noise = pink_noise(len(samples), rate, seed)
    return samples + noise * active_rms(samples) * 10 ** (-NOISE_SNR / 20)


def _as_loud(out: Array, samples: Array) -> Array:
    """As loud as before: the level is another condition's matter."""
    return np.asarray(out * (np.sqrt(np.mean(samples**2)) / max(1e-12, float(np.sqrt(np.mean(out**2))))))


def _room(samples: Array, rate: int, seed: int) -> Array:
    wet = _convolve(samples, room_response(rate))[: len(samples)]
    return _as_loud(wet, samples)


def _telephone(samples: Array, rate: int, seed: int) -> Array:
    half = round(0.016 * rate)
    time = np.arange(-half, half + 1) / rate
    band = [2 * edge / rate * np.sinc(2 * edge * time) for edge in BAND]
    # Linear phase with its delay removed: nothing moves in time.
    return _convolve(samples, (band[1] - band[0]) * np.kaiser(2 * half + 1, 8.0))[half : half + len(samples)]


def _quiet(samples: Array, rate: int, seed: int) -> Array:
    return samples * 10 ** (QUIET_GAIN / 20)


def _clipped(samples: Array, rate: int, seed: int) -> Array:
    limit = float(np.abs(samples).max()) * 10 ** (-OVERDRIVE / 20)
    return _as_loud(np.clip(samples, -limit, limit), samples)


def whisper(
    samples: Array, rate: int, seed: int, hop: int, smoothed: Callable[[Array], Array], edge: float, slope: float = 1.0
) -> Array:
    """The voice replaced by noise: the speech's envelope on it, weak below `edge` Hz, as loud as the speech.

    What sets whispers apart is that they have no voice, and less of the low frequencies (T. Ito et al., "Analysis and
    recognition of whispered speech", Speech Communication 2005); that formants move a little is left out.

    Args:
        samples: shape (n,).
        hop: samples from one frame to the next; frames are four times as long.
        smoothed: magnitude spectra (frames, 2 * hop + 1) without their harmonics.
        slope: of the low frequencies, in 6 dB an octave.

    Returns:
        shape (n,).
    """
    size = 4 * hop
    window = np.hanning(size + 1)[:-1]
    padded = np.pad(samples, (size, 2 * size))
    noise = np.random.default_rng(seed).normal(size=len(padded))
    speech, breath = (
        np.fft.rfft(np.lib.stride_tricks.sliding_window_view(signal, size)[::hop] * window)
        for signal in (padded, noise)
    )
    frequency = np.fft.rfftfreq(size, 1 / rate)
    tilt = (frequency / np.sqrt(frequency**2 + edge**2)) ** slope
    pieces = np.fft.irfft(breath * smoothed(np.abs(speech)) * tilt) * window
    out = np.zeros(len(padded))
    for start, piece in zip(range(0, len(padded), hop), pieces, strict=False):
        out[start : start + size] += piece
    return _as_loud(out[size : size + len(samples)], samples)


def _whispered(samples: Array, rate: int, seed: int) -> Array:
    def formants(magnitude: Array) -> Array:
        # A floor, so that the logarithm of silence is finite.
        cepstrum = np.fft.irfft(np.log(magnitude + 1e-6 * magnitude.max() + 1e-30))
        size = cepstrum.shape[-1]
        quefrency = np.minimum(np.arange(size), size - np.arange(size)) / rate
        return np.exp(np.fft.rfft(cepstrum * (quefrency <= _DETAIL)).real)

    return whisper(samples, rate, seed, round(0.008 * rate), formants, WHISPER_EDGE)


CONDITIONS: dict[str, Callable[[Array, int, int], Array]] = {
    "clean": lambda samples, rate, seed: samples,
    "noise10": _noise,
    "room": _room,
    "telephone": _telephone,
    "quiet": _quiet,
    "clipped": _clipped,
    "whispered": _whispered,
}
"""Name → function of (samples, rate in Hz, seed)."""


def degrade(clip: Pcm, condition: str, seed: int = 0) -> Pcm:
    """A copy of the clip, same length and rate, aligned with it; never beyond full scale.

    Raises:
        SettingsError: no such condition.
    """
    if condition not in CONDITIONS:
        raise SettingsError("conditions", f"no condition '{condition}'; known: {', '.join(CONDITIONS)}")
    if condition == "clean" or not len(clip):
        return clip
    out = CONDITIONS[condition](clip.samples.astype(np.float64), clip.rate, seed)
    peak = float(np.abs(out).max())
    return Pcm((out / max(1.0, peak)).astype(np.float32), clip.rate)


def _convolve(samples: Array, response: Array) -> Array:
    n = len(samples) + len(response) - 1
    size = 1 << (n - 1).bit_length()
    return np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(response, size), size)[:n]
