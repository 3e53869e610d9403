"""Model files from the Hugging Face hub, into its own cache layout. Only the command `download` does this.

`hf_hub_download` throws an interrupted download away (since huggingface_hub 1.x), so the transfer is done
one level below it, where a partial file can be kept and continued.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from seedvc_live.engines.seedvc.hub import ModelStore, sha256_of
from seedvc_live.engines.seedvc.presets import HubFile
from seedvc_live.errors import EngineError, ModelFileError


@dataclass(frozen=True)
class _Remote:
    """What the hub says of a file: where its bytes are, the commit, its hash (`etag`) and size."""

    url: str
    commit: str
    etag: str
    size: int | None
    headers: dict[str, Any]


def download(
    store: ModelStore, files: Iterable[HubFile], told: Callable[[HubFile, str], None] | None = None
) -> list[Path]:
    """Fetch what is missing; check all of it.

    A progress bar is shown on a terminal. An interrupted transfer is continued by the next call.

    Args:
        store: where to.
        files: what.
        told: called with each file and "there" or "fetched".

    Raises:
        EngineError: huggingface_hub is not installed.
        ModelFileError: a file cannot be fetched, or is not what the hub, or the record, says it is.
    """
    paths = []
    for file in files:
        found = store.find(file)
        if found is None:
            _fetch(store, file)
        path = store.require(file)
        store.remember(file, path)
        paths.append(path)
        if told is not None:
            told(file, "there" if found is not None else "fetched")
    return paths


def _fetch(store: ModelStore, file: HubFile) -> None:
    try:
        from huggingface_hub.file_download import http_get
        from huggingface_hub.utils import disable_progress_bars
    except ImportError:
        raise EngineError(
            "downloading models needs huggingface_hub; install it with: pip install 'seedvc-live[seed-vc]'"
        ) from None
    if not sys.stderr.isatty():
        disable_progress_bars()
    try:
        remote = _ask(store, file)
        root = store.cache(file.repository)
        target = root / "snapshots" / remote.commit / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        # The hash is in the name: what another commit left behind is not continued.
        partial = target.with_name(f"{target.name}.{remote.etag[:16]}.part")
        partial.touch()
        with partial.open("r+b") as handle:
            done = handle.seek(0, 2)
            http_get(
                remote.url,
                handle,
                resume_size=done,
                headers=remote.headers,
                expected_size=remote.size,
                displayed_filename=f"{file.repository.rpartition('/')[2]}/{file.name}",
            )
    except (EngineError, KeyboardInterrupt):
        raise
    except Exception as error:  # the library's transport, and its errors, change between versions
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelFileError(f"cannot download '{file.name}' of {file.repository}: {reason}") from None
    if not _is(partial, remote.etag):
        partial.unlink()
        raise ModelFileError(f"'{file.name}' of {file.repository} arrived damaged; try again")
    partial.replace(target)
    reference = root / "refs" / store.revision(file)
    if store.revision(file) != remote.commit:
        reference.parent.mkdir(parents=True, exist_ok=True)
        reference.write_text(remote.commit, encoding="utf-8")


def _ask(store: ModelStore, file: HubFile) -> _Remote:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.utils import build_hf_headers

    url = hf_hub_url(file.repository, file.name, revision=store.revision(file))
    found = get_hf_file_metadata(url)
    if not found.commit_hash or not found.etag:
        raise ModelFileError(f"{urlsplit(url).netloc} is no model hub: it names no commit for '{file.name}'")
    headers = dict(build_hf_headers())
    if urlsplit(found.location).netloc != urlsplit(url).netloc:
        headers.pop("authorization", None)  # a token is the hub's business, not its storage's
    return _Remote(found.location, found.commit_hash, found.etag, found.size, headers)


def _is(path: Path, etag: str) -> bool:
    """Whether the content has the hash the hub named: sha256 of large files, git's blob hash of small ones."""
    if len(etag) == 64:
        return sha256_of(path) == etag
    if len(etag) == 40:
        content = path.read_bytes()
        return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest() == etag
    return True
