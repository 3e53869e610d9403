"""The list of pairs: which source is converted into whose voice, and where the audio is."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seedvc_live.audio.pcm import Pcm
from seedvc_live.errors import InputError

REFERENCE_SECONDS = 5.0
"""The reference is so much from the beginning of its file; the rest of the file is the ceiling."""

MINIMUM_REST = 1.5
"""Seconds that must be left of a reference file for the ceiling."""

_COLUMNS = ("source", "reference", "kind")


@dataclass(frozen=True)
class Pair:
    """One conversion.

    Attributes:
        source, reference: names of files.
        kind: registers of the two speakers, such as "low-high"; any word will do.
    """

    source: str
    reference: str
    kind: str

    @property
    def name(self) -> str:
        """Both names without their extensions."""
        return f"{Path(self.source).stem}_to_{Path(self.reference).stem}"


def read_pairs(path: Path) -> list[Pair]:
    """Read a tab-separated table with the columns source, reference, kind in a header.

    Raises:
        InputError: the file is missing or no such table; names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the list of pairs {path}: {error}") from None
    if not lines:
        raise InputError(f"the list of pairs {path} is empty")
    header = [name.strip() for name in lines[0].split("\t")]
    absent = [name for name in _COLUMNS if name not in header]
    if absent:
        raise InputError(f"{path}, line 1: no column '{absent[0]}'; the header is: {' TAB '.join(_COLUMNS)}")
    pairs = []
    for number, cells in enumerate(csv.reader(lines[1:], delimiter="\t"), start=2):
        if not any(cell.strip() for cell in cells):
            continue
        row = dict(zip(header, (cell.strip() for cell in cells), strict=False))
        if not all(row.get(name) for name in _COLUMNS):
            raise InputError(f"{path}, line {number}: needs {', '.join(_COLUMNS)}, got {cells}")
        pairs.append(Pair(*(row[name] for name in _COLUMNS)))
    if not pairs:
        raise InputError(f"the list of pairs {path} holds no pairs")
    return pairs


def take(pairs: Sequence[Pair], limit: int | None) -> list[Pair]:
    """The first `limit` pairs, taken from the kinds in turn, so that a few cover all kinds; None takes all."""
    if limit is None or limit >= len(pairs):
        return list(pairs)
    kinds: dict[str, list[Pair]] = {}
    for pair in pairs:
        kinds.setdefault(pair.kind, []).append(pair)
    turns = max(len(group) for group in kinds.values())
    mixed = [group[turn] for turn in range(turns) for group in kinds.values() if turn < len(group)]
    chosen = set(mixed[:limit])
    return [pair for pair in pairs if pair in chosen]


def find_audio(folder: Path, name: str) -> Path:
    """The file `name` in `folder` or below it.

    Raises:
        InputError: it is not there.
    """
    direct = folder / name
    if direct.is_file():
        return direct
    below = sorted(folder.rglob(Path(name).name))
    if not below:
        raise InputError(f"'{name}' is not in the audio folder {folder}")
    return below[0]


def split_reference(clip: Pcm, name: str) -> tuple[Pcm, Pcm]:
    """(reference, rest): the first `REFERENCE_SECONDS` of a clip, and what follows.

    Raises:
        InputError: too little follows to serve as the ceiling.
    """
    cut = round(REFERENCE_SECONDS * clip.rate)
    rest = Pcm(clip.samples[cut:], clip.rate)
    if rest.seconds < MINIMUM_REST:
        needed = REFERENCE_SECONDS + MINIMUM_REST
        raise InputError(f"the reference {name} lasts {clip.seconds:.1f} s; give at least {needed:.1f} s of speech")
    return clip.head(REFERENCE_SECONDS), rest
