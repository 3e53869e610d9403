"""The voices store: a folder with one folder per voice, which appears whole or not at all.

::

    FOLDER/<id>/voice.json                            name, length, when it was made
                reference.flac                        the clip
                <engine>-<weights[:16]>.safetensors   what an engine derived from it; can be made again
    FOLDER/.tmp-…                                     being made or removed; swept when its maker is gone

The command line and any number of servers can use one folder at a time.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import secrets
import shutil
import string
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

from seedvc_live.errors import OutputError, VoiceError, VoiceNotFoundError

FOLDER_VARIABLE = "SEEDVC_LIVE_VOICES"
MAX_NAME = 80
_ID = re.compile(r"[a-z0-9]{12,64}")
_ALPHABET = string.ascii_lowercase + string.digits
_ID_LENGTH = 16
_TENSORS = re.compile(r"[a-z0-9][a-z0-9-]*\Z")
_TEMPORARY = ".tmp-"


def default_folder() -> Path:
    """`$SEEDVC_LIVE_VOICES`, else `seedvc-live/voices` under the user's data folder (XDG)."""
    named = os.environ.get(FOLDER_VARIABLE)
    if named:
        return Path(named)
    data = os.environ.get("XDG_DATA_HOME", "")
    return (Path(data) if os.path.isabs(data) else Path.home() / ".local" / "share") / "seedvc-live" / "voices"


def is_voice_id(text: str) -> bool:
    """Whether it has the form of an id; such a text is safe as the name of a folder."""
    return _ID.fullmatch(text) is not None


@dataclass(frozen=True)
class VoiceRecord:
    """A stored voice.

    Attributes:
        id: random, `[a-z0-9]{16}`.
        name: for people; not unique.
        seconds: length of the reference that is used.
        created: UTC, ISO 8601.
    """

    id: str
    name: str
    seconds: float
    created: str


class VoiceStore:
    """Voices in a folder, which is made, readable by its owner only, when the first voice is added.

    Raises:
        OutputError: `folder` exists and is not a folder.
    """

    def __init__(self, folder: Path | str | None = None) -> None:
        self.folder = Path(folder) if folder is not None else default_folder()
        if self.folder.exists() and not self.folder.is_dir():
            raise OutputError(f"the voices folder '{self.folder}' is not a folder")
        self.sweep()

    def list(self) -> Sequence[VoiceRecord]:
        """All voices, oldest first."""
        try:
            names = os.listdir(self.folder)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise VoiceError(f"the voices folder '{self.folder}' cannot be read ({error.strerror})") from None
        found = []
        for name in names:
            if is_voice_id(name):
                with contextlib.suppress(VoiceError):  # removed meanwhile, or damaged from outside
                    found.append(self.get(name))
        return sorted(found, key=lambda record: (record.created, record.id))

    def get(self, id: str) -> VoiceRecord:
        """One voice.

        Raises:
            VoiceNotFoundError: there is none; also for a text that is no id.
            VoiceError: its files are damaged.
        """
        try:
            text = (self._home(id) / "voice.json").read_text("utf-8")
        except (FileNotFoundError, NotADirectoryError):
            raise self._unknown(id) from None
        except (OSError, ValueError) as error:
            raise VoiceError(f"voice '{id}' cannot be read ({error})") from None
        try:
            values = json.loads(text)
            return VoiceRecord(id, str(values["name"]), float(values["seconds"]), str(values["created"]))
        except (ValueError, TypeError, KeyError):
            raise VoiceError(f"voice '{id}' is damaged: its voice.json cannot be read") from None

    def reference(self, id: str) -> Path:
        """The clip of a voice, FLAC.

        Raises:
            VoiceNotFoundError: there is no such voice.
        """
        path = self._home(id) / "reference.flac"
        if not path.is_file():
            raise self._unknown(id)
        return path

    def add(self, clip: Path, name: str | None = None) -> VoiceRecord:
        """Store a decoded, checked clip.

        Args:
            clip: a FLAC file as `decode_clip` gives; copied.
            name: for people; cleaned of control characters, at most `MAX_NAME` characters.

        Raises:
            VoiceError: the clip is not FLAC.
            OutputError: the folder cannot be written.
        """
        seconds = _flac_seconds(clip)
        created = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        record = VoiceRecord(_new_id(), clean_name(name), round(seconds, 3), created)
        with self._temporary() as home:
            shutil.copyfile(clip, home / "reference.flac")
            values = {key: value for key, value in asdict(record).items() if key != "id"}
            (home / "voice.json").write_text(json.dumps(values, ensure_ascii=False) + "\n", "utf-8")
            for path in (home / "reference.flac", home / "voice.json", home):
                _flush(path)
            home.rename(self.folder / record.id)
            _flush(self.folder)
        return record

    def remove(self, id: str) -> None:
        """Forget a voice, with all that was derived from it.

        Raises:
            VoiceNotFoundError: there is none.
            OutputError: the folder cannot be written.
        """
        home = self._home(id)
        if not home.is_dir():
            raise self._unknown(id)
        with self._temporary() as grave:
            try:
                home.rename(grave / id)
            except FileNotFoundError:
                raise self._unknown(id) from None
            _flush(self.folder)

    def tensors(self, id: str, engine: str, weights: str) -> Path | None:
        """What `engine` with these weights derived from a voice, or None when that has not been done."""
        path = self._home(id) / _tensors_name(engine, weights)
        return path if path.is_file() else None

    def enrolled(self, id: str) -> Sequence[str]:
        """Which engines a voice is enrolled for: `<engine>-<weights[:16]>`."""
        return sorted(path.stem for path in self._home(id).glob("*.safetensors"))

    def keep_tensors(self, id: str, engine: str, weights: str, written: Path) -> Path:
        """Move a finished file of tensors to its place.

        Args:
            written: a file in a folder from `workspace`.

        Raises:
            VoiceNotFoundError: the voice was removed meanwhile.
        """
        target = self._home(id) / _tensors_name(engine, weights)
        _flush(written)
        try:
            os.replace(written, target)
        except (FileNotFoundError, NotADirectoryError):
            raise self._unknown(id) from None
        _flush(target.parent)
        return target

    def workspace(self) -> contextlib.AbstractContextManager[Path]:
        """A temporary folder on the store's disk; swept if this process is killed."""
        return self._temporary()

    def sweep(self) -> int:
        """Remove temporary folders whose makers are gone; how many there were."""
        count = 0
        with contextlib.suppress(OSError):
            for path in self.folder.glob(f"{_TEMPORARY}*"):
                with contextlib.suppress(OSError), _locked(path):
                    shutil.rmtree(path, ignore_errors=True)
                    count += 1
        return count

    # -- inside ------------------------------------------------------------------------------------

    def _home(self, id: str) -> Path:
        if not is_voice_id(id):
            raise self._unknown(id)
        return self.folder / id

    def _unknown(self, id: str) -> VoiceNotFoundError:
        shown = id if len(id) <= 64 else f"{id[:64]}…"
        return VoiceNotFoundError(f"no voice {shown!a} in '{self.folder}'")

    @contextlib.contextmanager
    def _temporary(self) -> Iterator[Path]:
        """A folder that is locked while this process lives, and gone afterwards unless it was renamed."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path, lock = self._made_and_locked()
            with lock:
                try:
                    yield path
                finally:
                    shutil.rmtree(path, ignore_errors=True)
        except OSError as error:
            raise OutputError(f"cannot write in the voices folder '{self.folder}' ({error.strerror})") from None

    def _made_and_locked(self) -> tuple[Path, contextlib.ExitStack]:
        for attempt in range(10):
            path = self.folder / f"{_TEMPORARY}{_new_id()}"
            path.mkdir(mode=0o700)
            lock = contextlib.ExitStack()
            try:
                lock.enter_context(_locked(path))
                return path, lock
            except OSError:  # swept by another process between the two steps; or a disk without locks
                shutil.rmtree(path, ignore_errors=True)
                if attempt == 9:
                    raise
        raise AssertionError("unreachable")


def clean_name(name: str | None) -> str:
    """A name that can be shown anywhere: no control characters, no line breaks, not too long, not empty."""
    text = "".join(c if unicodedata.category(c)[0] != "C" else " " for c in name or "")
    return " ".join(text.split())[:MAX_NAME].strip() or "voice"


def _new_id() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(_ID_LENGTH))


def _tensors_name(engine: str, weights: str) -> str:
    for part in (engine, weights[:16]):
        if not _TENSORS.match(part):
            raise ValueError(f"not a plain word: {part!r}")
    return f"{engine}-{weights[:16]}.safetensors"


def _flac_seconds(clip: Path) -> float:
    """Length by STREAMINFO (RFC 9639, section 8.2)."""
    try:
        with clip.open("rb") as file:
            head = file.read(42)
    except OSError as error:
        raise VoiceError(f"'{clip}': cannot read it ({error.strerror})") from None
    if len(head) < 42 or head[:4] != b"fLaC" or head[4] & 0x7F != 0:
        raise VoiceError(f"'{clip}' is not a FLAC file")
    rate = int.from_bytes(head[18:21], "big") >> 4
    samples = ((head[21] & 0x0F) << 32) | int.from_bytes(head[22:26], "big")
    if not rate or not samples:
        raise VoiceError(f"'{clip}' does not say how long it is")
    return samples / rate


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a folder's lock, which the kernel lets go of when the process ends.

    Raises:
        OSError: another process holds it, or the folder is gone.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_ino != folder.stat().st_ino:
            raise FileNotFoundError(folder)
        yield
    finally:
        os.close(descriptor)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
