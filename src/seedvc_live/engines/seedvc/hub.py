"""Where model files are: a folder in one of three layouts.

The sha256 of every downloaded file is recorded in the folder and checked whenever the file is used.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from seedvc_live.engines.seedvc.presets import HubFile
from seedvc_live.errors import ModelFileError

FOLDER_VARIABLE = "SEEDVC_LIVE_MODELS"
RECORD = "sha256.json"
MAIN = "main"
_SHARED_NAMES = frozenset({"config.json", "preprocessor_config.json", "model.safetensors", "pytorch_model.bin"})
"""File names that many repositories use; they are only looked for below the repository's own folder."""


def default_folder() -> Path:
    """`SEEDVC_LIVE_MODELS`, or a folder in the user's cache."""
    named = os.environ.get(FOLDER_VARIABLE)
    if named:
        return Path(named)
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "seedvc-live" / "models"


def sha256_of(path: Path) -> str:
    """Hex digest of a file; computed once for each content that this process sees."""
    state = path.stat()
    return _digest(path, state.st_size, state.st_mtime_ns, state.st_ino)


@lru_cache(maxsize=64)
def _digest(path: Path, size: int, changed: int, inode: int) -> str:
    with path.open("rb") as handle:
        digest = hashlib.sha256()
        while chunk := handle.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def parse_revisions(given: Iterable[str], own: str) -> dict[str, str]:
    """Options `REVISION`, for the repository `own`, or `REPOSITORY=REVISION` → repository → revision."""
    revisions = {}
    for text in given:
        repository, _, revision = text.rpartition("=")
        revisions[repository or own] = revision
    return revisions


@dataclass(frozen=True)
class ModelStore:
    """A folder of model files.

    Attributes:
        folder: holds the files flat, below `REPOSITORY/` or `ORGANISATION/REPOSITORY/`, or in the hub's
            cache layout (`models--ORGANISATION--REPOSITORY/snapshots/…`).
        revisions: repository → branch, tag or commit, where it is not "main".
    """

    folder: Path
    revisions: Mapping[str, str] = field(default_factory=dict)

    def revision(self, file: HubFile) -> str:
        """The revision wanted of the file's repository."""
        return self.revisions.get(file.repository, MAIN)

    def find(self, file: HubFile) -> Path | None:
        """The file's path, or None. Nothing is downloaded."""
        organisation, _, repository = file.repository.rpartition("/")
        snapshots = self._snapshots(file)
        named = [self.folder / organisation / repository, self.folder / repository]
        for name in (file.name, *file.alternatives):
            flat = [] if name in _SHARED_NAMES else [self.folder]
            # A revision asked for is that of the hub's cache; other layouts have none.
            places = [*snapshots, *flat, *named] if file.repository in self.revisions else [*flat, *named, *snapshots]
            for place in places:
                if (place / name).is_file():
                    return place / name
        return None

    def cache(self, repository: str) -> Path:
        """The repository's part of a hub cache in this folder."""
        return self.folder / f"models--{repository.replace('/', '--')}"

    def _snapshots(self, file: HubFile) -> list[Path]:
        root, revision = self.cache(file.repository), self.revision(file)
        reference = root / "refs" / revision
        if reference.is_file():
            return [root / "snapshots" / reference.read_text(encoding="utf-8").strip()]
        if (root / "snapshots" / revision).is_dir():
            return [root / "snapshots" / revision]
        return []

    def require(self, file: HubFile) -> Path:
        """The file's path, checked against its recorded sha256 if there is one.

        Raises:
            ModelFileError: it is missing, or is not what was downloaded first.
        """
        path = self.find(file)
        if path is None:
            raise ModelFileError(
                f"model file '{file.name}' of {file.repository} is not in {self.folder}; fetch it with "
                f"'seedvc-live download', or give the folder that has it with --model-dir or {FOLDER_VARIABLE}"
            )
        self.check(file, path)
        return path

    def check(self, file: HubFile, path: Path) -> bool:
        """Compare a file with its recorded sha256; False where none is recorded.

        Raises:
            ModelFileError: they differ, or the record is damaged.
        """
        recorded = self._record().get(self._key(file, path.name))
        if recorded is None:
            return False
        if sha256_of(path) != recorded:
            raise ModelFileError(
                f"model file {path} has changed since it was downloaded (its sha256 is not {recorded}); "
                f"delete it and download it again"
            )
        return True

    def remember(self, file: HubFile, path: Path) -> None:
        """Record a file's sha256, unless one is recorded already."""
        record = self._record()
        record.setdefault(self._key(file, path.name), sha256_of(path))
        partial = self.folder / f"{RECORD}.part"
        partial.write_text(json.dumps(record, indent=1, sort_keys=True), encoding="utf-8")
        partial.replace(self.folder / RECORD)

    def missing(self, files: Iterable[HubFile]) -> list[HubFile]:
        """Those that are not there."""
        return [file for file in files if self.find(file) is None]

    def _key(self, file: HubFile, name: str) -> str:
        revision = self.revision(file)
        return f"{file.repository}/{name}" if revision == MAIN else f"{file.repository}@{revision}/{name}"

    def _record(self) -> dict[str, str]:
        path = self.folder / RECORD
        if not path.is_file():
            return {}
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            record = None
        if not isinstance(record, dict):
            raise ModelFileError(f"the record of checksums is damaged: {path}; delete it")
        return {str(name): str(digest) for name, digest in record.items()}
