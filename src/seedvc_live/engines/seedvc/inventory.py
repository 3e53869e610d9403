"""Which model files are there, for `seedvc-live doctor`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from seedvc_live.engines.seedvc.hub import ModelStore, default_folder, parse_revisions
from seedvc_live.engines.seedvc.presets import SEED_VC, HubFile, files_of, preset, read_config
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

    @property
    def required(self) -> bool:
        """A preset knows its own configuration: the published file only confirms it."""
        return not self.file.name.endswith(".yml")


def take_stock(
    model: str, folder: Path | str | None = None, revisions: Iterable[str] = (), config: Path | str | None = None
) -> list[Found]:
    """Look for every file of a model, and check those whose sha256 is recorded.

    Args:
        model: a preset's name.
        folder: by default `SEEDVC_LIVE_MODELS`, or the user's cache.
        revisions: see `parse_revisions`.
        config: a fine-tuned model's own; its checkpoint is not looked for.

    Raises:
        EngineError: there is no such model.
        ModelFileError: the configuration cannot be read.
    """
    files = files_of(preset(model), None if config is None else read_config(Path(config)), checkpoint=config is None)
    store = ModelStore(Path(folder) if folder else default_folder(), parse_revisions(revisions, SEED_VC))
    found = []
    for file in files:
        path = store.find(file)
        if path is None:
            found.append(Found(file, None, problem=f"not in {store.folder}"))
            continue
        try:
            found.append(Found(file, path, store.check(file, path)))
        except ModelFileError as error:
            found.append(Found(file, path, problem=str(error)))
    return found
