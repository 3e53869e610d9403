"""Features of every clip, in the streaming geometry of live use, one file per clip.

Per clip `NAME.npz`: wav (24 kHz, int16; of recordings without their noise), content (steps, 384), level, bands and
changes (points), pitch and confidence of the tracker's frames, shapes (steps, 80), spans of possible references with
embeddings as live, and `identities`, those of wav. Perturbed copies `NAME.pert0.npz`, … hold content, level, bands and
changes only. Actors' lines, whose voices are not to be learnt, have neither shapes nor spans.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import soxr

from seedvc_live.engines.nano import analysis, envelope, grid, pitch, spectrum
from seedvc_live.engines.nano.networks import open_session
from seedvc_live.engines.nano.profiles import DEFAULT, PROFILES, Name, Profile
from seedvc_live.engines.nano.speaker import embed
from training import augment, corpus
from training.clean import Denoiser, cleaned, to_int16

PROFILE_NAMES: tuple[Name, ...] = ("balanced", "low-latency", "quality")
PROFILE_SHARES = (0.5, 0.3, 0.2)
"""How often a copy is heard as in each profile."""
SPANS = 3
"""References cut from a clip."""
MOST_SOFT = 30.0
"""dB."""


def source_features(encoder: Any, samples: np.ndarray, profile: Profile = PROFILES[DEFAULT]) -> dict[str, np.ndarray]:
    """Content, level, bands, changes and gain of a 16 kHz signal, block by block as in a stream."""
    block = round(profile.block * grid.RATE / grid.STEP)
    source = analysis.source_whole(encoder, samples, block, analysis.ahead_of(profile.layout))
    return {name: array.astype(np.float16) for name, array in source._asdict().items()}


def perturbed_features(
    encoder: Any, samples: np.ndarray, ratio: float, points: int, profile: Profile = PROFILES[DEFAULT]
) -> dict[str, np.ndarray]:
    """Source features of the signal with pitch and formants times `ratio`, on the original time grid."""
    shifted = np.asarray(soxr.resample(samples, round(grid.ANALYSIS_RATE * ratio), grid.ANALYSIS_RATE), np.float32)
    features = source_features(encoder, shifted, profile)

    def stretched(array: np.ndarray, hop: int, count: int) -> np.ndarray:
        # Row i stands for point hop × (i + 1).
        where = np.clip(hop * np.arange(1, count + 1) / ratio / hop - 1, 0, len(array) - 1)
        low = np.minimum(where.astype(int), len(array) - 2)
        weight = (where - low).reshape(-1, *[1] * (array.ndim - 1))
        rows = array.astype(np.float32)
        return (rows[low] * (1 - weight) + rows[low + 1] * weight).astype(np.float16)

    return {
        "content": stretched(features["content"], 2, points // 2),
        "level": stretched(features["level"], 1, points),
        "bands": stretched(features["bands"], 1, points),
        # A point of the copy is `ratio` points long.
        "changes": stretched(features["changes"] / np.float16(ratio), 1, points),
    }


def heard_features(tracker: Any, wide: np.ndarray, narrow: np.ndarray) -> dict[str, np.ndarray]:
    """Pitch (whole utterance) and samples of what is only converted."""
    log_f0, confidence = pitch.track(tracker, narrow[None])
    return {"wav": to_int16(wide), "pitch": log_f0[0], "confidence": confidence[0]}


def target_features(
    tracker: Any,
    speaker: Any,
    wide: np.ndarray,
    narrow: np.ndarray,
    clean: np.ndarray,
    level: np.ndarray,
    gain: np.ndarray,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Pitch (whole utterance), envelope shapes, and embeddings of random spans of 2.5 to 5 s; `clean` is the target."""
    points = len(level)
    steps = points // 2
    spans = []
    for _ in range(SPANS):
        length = min(steps, int(rng.integers(125, 251)))
        if steps < 300:
            length = min(length, max(75, steps * 6 // 10))
        length = min(length, steps)
        begin = int(rng.integers(0, steps - length + 1))
        spans.append((begin, begin + length))
    per_step = 2 * grid.ANALYSIS_HOP
    embeddings = [embed(speaker, narrow[begin * per_step : end * per_step]) for begin, end in spans]
    identities = embeddings
    if clean is not wide:
        of_clean = np.asarray(soxr.resample(clean, grid.RATE, grid.ANALYSIS_RATE), np.float32)
        identities = [embed(speaker, of_clean[begin * per_step : end * per_step]) for begin, end in spans]
    return {
        **heard_features(tracker, clean, narrow),
        "shapes": envelope.shapes(
            spectrum.without_rumble(wide, grid.RATE), level.astype(np.float32), gain.astype(np.float32)
        ).astype(np.float16),
        "spans": np.array(spans),
        "embeddings": np.stack(embeddings).astype(np.float32),
        "identities": np.stack(identities).astype(np.float32),
    }


def extract(
    corpus_folder: Path,
    weights: Path,
    out: Path,
    seed: int,
    perturb: tuple[float, float],
    degraded_share: float,
    soft_share: float,
    copies: int,
    spoken_copies: int,
    wheels: Path,
    louder: float,
    lines: list[corpus.Clip],
    part: tuple[int, int] = (0, 1),
) -> None:
    """Write what is missing, in order: real speech, parallel speech, actors' lines, perturbed copies of them all.

    Args:
        lines: of actors, as sources of conversions.
        part: which of how many parts of the clips, for processes that share the work.
        wheels: where the denoiser is unpacked.
        copies: of each recording; spoken_copies: of each parallel clip.
        perturb: lowest and highest factor of the copies' pitch and formants.
        degraded_share: of the copies, that are also degraded (`augment`).
        louder: dB by which their noise is louder than the encoder's own.
        soft_share: of the copies, that are heard up to `MOST_SOFT` softer; copies are heard in any profile's windows.
    """
    out.mkdir(parents=True, exist_ok=True)
    encoder, tracker = open_session(weights / "content.onnx"), open_session(weights / "pitch.onnx")
    speaker = open_session(weights / "speaker.onnx")
    denoiser = Denoiser(wheels)

    def save(path: Path, arrays: dict[str, np.ndarray]) -> None:
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            np.savez(file, **arrays)
        part.rename(path)

    which, parts = part
    real, parallel, lines = (
        clips[which::parts] for clips in (corpus.real(corpus_folder), corpus.parallel(corpus_folder), lines)
    )
    for clip in [*real, *parallel, *lines]:
        path = out / f"{clip.name}.npz"
        if path.exists():
            continue
        rng = np.random.default_rng([seed, *clip.name.encode()])
        wide, narrow = corpus.read(clip)
        narrow = spectrum.without_rumble(narrow)
        features = source_features(encoder, narrow)
        if clip.narrow:
            del features["gain"]
            save(path, features | heard_features(tracker, wide, narrow))
            continue
        # What was spoken by a machine has no noise.
        clean = wide if clip.wide else cleaned(clip, denoiser, out.parent / "clean")
        level, gain = features["level"], features.pop("gain")
        save(path, features | target_features(tracker, speaker, wide, narrow, clean, level, gain, rng))
    counts = ((real, copies), (parallel, spoken_copies), (lines, 1))
    todo = [(index, clip) for clips, count in counts for index in range(count) for clip in clips]
    for index, clip in todo:
        path = out / f"{clip.name}.pert{index}.npz"
        if path.exists():
            continue
        rng = np.random.default_rng([seed + 1 + index, *clip.name.encode()])
        ratio = float(np.exp(rng.uniform(*np.log(perturb))))
        _, narrow = corpus.read(clip)
        points = len(narrow) // grid.ANALYSIS_HOP // 2 * 2
        if rng.random() < degraded_share:
            narrow = augment.degraded(narrow, rng, louder)
        # A low level loses what is near the floors; that the level itself is low is no matter of the decoder's.
        softer = rng.uniform(0, MOST_SOFT) if rng.random() < soft_share else 0.0
        narrow = spectrum.without_rumble(narrow * np.float32(10 ** (-softer / 20)))
        profile = PROFILES[PROFILE_NAMES[rng.choice(3, p=PROFILE_SHARES)]]
        copy = perturbed_features(encoder, narrow, ratio, points, profile)
        copy["level"] += np.float16(softer)
        save(path, copy | {"ratio": np.array(ratio)})
