"""`seedvc-live download`: the model files of the Seed-VC engine, from the hub into a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from seedvc_live.cli.common import log_options, model_options, set_up_logging
from seedvc_live.errors import EngineError


@click.command("download")
@model_options
@log_options
def command(model: str | None, model_dir: str | None, revision: tuple[str, ...], **options: Any) -> None:
    """Fetch what a Seed-VC model lacks and check what is there; no other command downloads anything.

    An interrupted download is continued by the next call. The sha256 of each file is recorded at its first
    download (sha256.json in the folder) and checked whenever the file is used.
    """
    set_up_logging(options["log_level"], options["log_format"])
    try:
        from seedvc_live.engines.seedvc.download import download
        from seedvc_live.engines.seedvc.hub import ModelStore, default_folder, parse_revisions
        from seedvc_live.engines.seedvc.presets import SEED_VC, HubFile, files_of, preset, read_config
    except ModuleNotFoundError as error:
        raise EngineError(
            f"engine 'seed-vc' needs {error.name}; install it with: pip install 'seedvc-live[seed-vc]'"
        ) from None
    chosen = preset(model or "xlsr-tiny")
    own = options["config"]
    files = files_of(chosen, None if own is None else read_config(Path(own)), checkpoint=own is None)
    store = ModelStore(Path(model_dir) if model_dir else default_folder(), parse_revisions(revision, SEED_VC))

    def tell(file: HubFile, what: str) -> None:
        click.echo(f"{what:8} {file.repository}/{file.name}")

    try:
        store.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EngineError(f"cannot make the folder {store.folder}: {error.strerror}") from None
    download(store, files, tell)
    click.echo(f"{chosen.name} is complete in {store.folder}")
