"""Do the words survive? Word errors of conversions against the same recogniser's reading of the source.

    python bench/nano_similarity.py --corpus CORPUS --audio CONVERTED
    python bench/nano_words.py --corpus CORPUS --audio CONVERTED --model WHISPER

WHISPER is a folder with a CTranslate2 Whisper (or a name faster-whisper knows); needs `faster-whisper`.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

import soundfile
import soxr


def distance(wanted: list[str], heard: list[str]) -> int:
    """Fewest substitutions, insertions and deletions (Levenshtein)."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(wanted, start=1):
        corner, row[0] = row[0], i
        for j, other in enumerate(heard, start=1):
            corner, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, corner + (word != other))
    return row[-1]


def main() -> None:
    from faster_whisper import WhisperModel

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--audio", type=Path, required=True, help="folder with SOURCE_to_REFERENCE.wav")
    parser.add_argument("--model", required=True)
    parser.add_argument("--out", type=Path, default=Path("bench/results/nano_words.json"))
    options = parser.parse_args()
    model = WhisperModel(options.model, device="cpu", cpu_threads=1, compute_type="int8")

    def words(path: Path) -> list[str]:
        samples, rate = soundfile.read(path, dtype="float32")
        segments, _ = model.transcribe(
            soxr.resample(samples, rate, 16000), language="en", beam_size=1, temperature=0.0,
            condition_on_previous_text=False, without_timestamps=True,
        )  # fmt: skip
        return re.sub(r"[^a-z' ]", " ", " ".join(s.text for s in segments).lower()).split()

    read: dict[str, list[str]] = {}
    pairs = []
    for path in sorted(options.audio.glob("*_to_*.wav")):
        source, reference = path.stem.split("_to_")
        if source not in read:
            read[source] = words(options.corpus / "librispeech" / f"{source}.flac")
        errors = distance(read[source], words(path))
        pairs.append({"source": source, "reference": reference, "errors": errors, "words": len(read[source])})
        print(pairs[-1], flush=True)
    rate = sum(int(p["errors"]) for p in pairs) / sum(int(p["words"]) for p in pairs)
    options.out.write_text(
        json.dumps({"model": Path(options.model).name, "word_error": round(rate, 4), "pairs": pairs}, indent=1) + "\n"
    )
    print(f"word error {rate:.4f}")


if __name__ == "__main__":
    main()
