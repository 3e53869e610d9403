"""Which model files are there, for `seedvc-live doctor`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from seedvc_live.engines.seedvc.hub import ModelStore, default_folder, parse_revisions
from seedvc_live.engines.seedvc.presets import SEED_VC, HubFile, files_of, preset
from seedvc_live.errors import ModelFileError


@dataclass(frozen=True)
class Found:
    """One file of a model.

    Attributes:
        path: where it is, or None.
        checked: its sha256 is the recorded one.
        problem: what is wrong with it; empty if nothing.
    """

    file: HubFile
    path: Path | None
    checked: bool = False
    problem: str = ""


def take_stock(model: str, folder: Path | str | None = None, revisions: Iterable[str] = ()) -> list[Found]:
    """Look for every file of a model, and check those whose sha256 is recorded.

    Raises:
        EngineError: there is no such model.
    """
    store = ModelStore(Path(folder) if folder else default_folder(), parse_revisions(revisions, SEED_VC))
    found = []
    for file in files_of(preset(model)):
        path = store.find(file)
        if path is None:
            found.append(Found(file, None, problem=f"not in {store.folder}"))
            continue
        try:
            found.append(Found(file, path, store.check(file, path)))
        except ModelFileError as error:
            found.append(Found(file, path, problem=str(error)))
    return found
