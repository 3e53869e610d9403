"""`seedvc-live voices`: the stored voices that `serve`, `convert` and `stream` use."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from seedvc_live.cli.common import print_json
from seedvc_live.engines.registry import ENGINES
from seedvc_live.service.voices import FOLDER_VARIABLE, VoiceRecord, VoiceStore

_folder = click.option(
    "--voices", "folder", type=click.Path(path_type=Path), help=f"Folder of voices [default: ${FOLDER_VARIABLE}]."
)
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group("voices")
def command() -> None:
    """Keep reference clips under an id, which `serve` offers and --reference takes."""


@command.command("add")
@click.argument("clip", type=click.Path(path_type=Path))
@click.option("--name", help="For people [default: the file's name].")
@click.option("--engine", type=click.Choice(ENGINES), help="Enroll for this engine now, not at first use.")
@_folder
@_json
def add(clip: Path, name: str | None, engine: str | None, folder: Path | None, as_json: bool) -> None:
    """Check CLIP, 1-60 s of speech (the first 30 s are used), store it and print its id."""
    from seedvc_live.service.decode import add_clip
    from seedvc_live.service.enroll import enroll

    async def run(store: VoiceStore) -> VoiceRecord:
        record = await add_clip(store, clip, clip.stem if name is None else name)
        if engine is not None:
            try:
                await enroll(store, record.id, engine)
            except BaseException:
                store.remove(record.id)
                raise
        return record

    record = asyncio.run(run(VoiceStore(folder)))
    if as_json:
        print_json(asdict(record))
    else:
        click.echo(record.id)


@command.command("list")
@_folder
@_json
def list_voices(folder: Path | None, as_json: bool) -> None:
    """List the stored voices, oldest first."""
    store = VoiceStore(folder)
    records = store.list()
    if as_json:
        print_json({"folder": str(store.folder), "voices": [asdict(record) for record in records]})
        return
    for record in records:
        click.echo(f"{record.id}  {record.seconds:5.1f} s  {record.created[:10]}  {record.name}")
    if not records:
        click.echo(f"no voices in {store.folder}", err=True)


@command.command("show")
@click.argument("id")
@_folder
@_json
def show(id: str, folder: Path | None, as_json: bool) -> None:
    """Print all that is known of one voice."""
    store = VoiceStore(folder)
    record = store.get(id)
    values: dict[str, Any] = {
        **asdict(record),
        "reference": str(store.reference(id)),
        "enrolled": list(store.enrolled(id)),
    }
    if as_json:
        print_json(values)
        return
    for key, value in values.items():
        click.echo(f"{key:10} {', '.join(value) or '-' if isinstance(value, list) else value}")


@command.command("remove")
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@_folder
def remove(ids: tuple[str, ...], folder: Path | None) -> None:
    """Forget voices, with everything derived from them."""
    store = VoiceStore(folder)
    for id in ids:
        store.get(id)
    for id in ids:
        store.remove(id)
