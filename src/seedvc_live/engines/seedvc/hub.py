"""Where model files are: a folder in one of three layouts, or the Hugging Face hub when asked to download.

The sha256 of every downloaded file is recorded in the folder and checked whenever the file is used.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from seedvc_live.engines.seedvc.presets import HubFile
from seedvc_live.errors import EngineError, ModelFileError

FOLDER_VARIABLE = "SEEDVC_LIVE_MODELS"
RECORD = "sha256.json"
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
    """Hex digest of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while chunk := handle.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


@dataclass(frozen=True)
class ModelStore:
    """A folder of model files.

    Attributes:
        folder: holds the files flat, below `REPOSITORY/` or `ORGANISATION/REPOSITORY/`, or in the hub's
            cache layout (`models--ORGANISATION--REPOSITORY/snapshots/…`).
        revision: of the hub's repositories, when downloading or choosing a snapshot.
    """

    folder: Path
    revision: str = "main"

    def find(self, file: HubFile) -> Path | None:
        """The file's path, or None. Nothing is downloaded."""
        organisation, _, repository = file.repository.rpartition("/")
        places = [self.folder / organisation / repository, self.folder / repository]
        if file.name not in _SHARED_NAMES:
            places.insert(0, self.folder)
        places += self._snapshots(organisation, repository)
        for place in places:
            if (place / file.name).is_file():
                return place / file.name
        return None

    def _snapshots(self, organisation: str, repository: str) -> list[Path]:
        root = self.folder / f"models--{organisation}--{repository}"
        reference = root / "refs" / self.revision
        if reference.is_file():
            return [root / "snapshots" / reference.read_text(encoding="utf-8").strip()]
        if (root / "snapshots" / self.revision).is_dir():
            return [root / "snapshots" / self.revision]
        return []

    def require(self, file: HubFile) -> Path:
        """The file's path, checked against its recorded sha256 if there is one.

        Raises:
            ModelFileError: it is missing, or is not what was downloaded first.
        """
        path = self.find(file)
        if path is None:
            raise ModelFileError(
                f"model file '{file.name}' of {file.repository} is not in {self.folder}; download it, or give "
                f"the folder that has it with --model-dir or {FOLDER_VARIABLE}"
            )
        recorded = self._record().get(f"{file.repository}/{file.name}")
        if recorded is not None and sha256_of(path) != recorded:
            raise ModelFileError(
                f"model file {path} has changed since it was downloaded (its sha256 is not {recorded}); "
                f"delete it and download it again"
            )
        return path

    def missing(self, files: Iterable[HubFile]) -> list[HubFile]:
        """Those that are not there."""
        return [file for file in files if self.find(file) is None]

    def download(self, files: Iterable[HubFile]) -> list[Path]:
        """Fetch what is missing from the hub (with a progress bar; an interrupted download resumes).

        Raises:
            EngineError: huggingface_hub is not installed.
            ModelFileError: a file cannot be fetched, or differs from what was recorded.
        """
        paths = []
        for file in files:
            if self.find(file) is None:
                self._fetch(file)
            paths.append(self.require(file))
        return paths

    def _fetch(self, file: HubFile) -> None:
        try:
            from huggingface_hub import hf_hub_download
            from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
        except ImportError:
            raise EngineError(
                "downloading models needs huggingface_hub; install it with: pip install 'seedvc-live[seed-vc]'"
            ) from None
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            fetched = Path(
                hf_hub_download(file.repository, file.name, revision=self.revision, cache_dir=str(self.folder))
            )
        except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
            reason = (str(error).splitlines() or ["no answer"])[0]
            raise ModelFileError(f"cannot download '{file.name}' of {file.repository}: {reason}") from None
        self.remember(file, fetched)

    def remember(self, file: HubFile, path: Path) -> None:
        """Record a file's sha256, unless one is recorded already."""
        record = self._record()
        record.setdefault(f"{file.repository}/{file.name}", sha256_of(path))
        partial = self.folder / f"{RECORD}.part"
        partial.write_text(json.dumps(record, indent=1, sort_keys=True), encoding="utf-8")
        partial.replace(self.folder / RECORD)

    def _record(self) -> dict[str, str]:
        path = self.folder / RECORD
        if not path.is_file():
            return {}
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            raise ModelFileError(f"the record of checksums is damaged: {path}; delete it") from None
        return {str(name): str(digest) for name, digest in record.items()}
