"""Word and character error rates: edit distance between two transcriptions (Levenshtein 1966)."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Errors:
    """Edits that turn one text into another, and the length of the first.

    Attributes:
        edits: substitutions, insertions and deletions together.
        length: words or characters of the text compared with.
    """

    edits: int
    length: int

    @property
    def rate(self) -> float:
        """Edits per unit of the text compared with; an empty one counts as one unit."""
        return self.edits / max(1, self.length)

    def __add__(self, other: Errors) -> Errors:
        return Errors(self.edits + other.edits, self.length + other.length)


def normalise(text: str) -> str:
    """Lower case, no punctuation, single spaces; an apostrophe inside a word stays ("don't")."""
    text = unicodedata.normalize("NFKC", text).lower().replace("\u2019", "'")
    kept = "".join(letter if letter.isalnum() or letter == "'" or _is_mark(letter) else " " for letter in text)
    return " ".join(word for word in (word.strip("'") for word in kept.split()) if word)


def _is_mark(letter: str) -> bool:
    return unicodedata.category(letter).startswith("M")  # vowel signs of Indic scripts belong to the word


def edit_distance(truth: Sequence[str], heard: Sequence[str]) -> int:
    """Least number of substitutions, insertions and deletions that turn `truth` into `heard`."""
    row = list(range(len(heard) + 1))
    for i, expected in enumerate(truth, start=1):
        diagonal, row[0] = row[0], i
        for j, got in enumerate(heard, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (expected != got))
    return row[-1]


def word_errors(truth: str, heard: str) -> Errors:
    """Word errors of `heard` against `truth`, both normalised first."""
    words = normalise(truth).split()
    return Errors(edit_distance(words, normalise(heard).split()), len(words))


def character_errors(truth: str, heard: str) -> Errors:
    """Character errors of `heard` against `truth`, both normalised first; a space is a character."""
    expected = normalise(truth)
    return Errors(edit_distance(expected, normalise(heard)), len(expected))
