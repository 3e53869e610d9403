"""`seedvc-live evaluate`: similarity, intelligibility, quality and pitch of an engine on a list of pairs."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from seedvc_live.cli.common import engine_options, log_options, make_engine, print_json, set_up_logging
from seedvc_live.errors import SettingsError

_LOG = logging.getLogger(__name__)

_SYSTEMS = "floor,ceiling,streaming,whole,world,resynthesis"


@click.command("evaluate")
@click.option(
    "--pairs", "listed", required=True, type=click.Path(path_type=Path), help="Table: source TAB reference TAB kind."
)
@click.option("--audio", required=True, type=click.Path(path_type=Path), help="Folder with the recordings.")
@click.option("--limit", type=click.IntRange(min=1), help="Only so many pairs, from all kinds in turn.")
@click.option(
    "--conditions", default="clean", show_default=True, help="Of clean,noise10,room,telephone,quiet,clipped,whispered."
)
@click.option("--systems", default=_SYSTEMS, show_default=True, help="What to measure.")
@click.option("--models", type=click.Path(path_type=Path), help="Folder with the recognisers; no network is used.")
@click.option("--language", default="en", show_default=True, help="Language of the speech.")
@click.option("--fresh", is_flag=True, help="Judge every clip again, also those these judges have judged before.")
@click.option("--examples", type=click.IntRange(min=0), default=1, show_default=True, help="Per kind, to listen to.")
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), help="Folder for JSON, plot and page.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@engine_options
@log_options
def command(listed: Path, audio: Path, output: Path | None, **options: Any) -> None:
    """Convert every pair live, block by block, and judge the result beside its floor and ceiling.

    The reference is the first 5 s of its file, the ceiling the rest of it, the floor the source itself.
    """
    from seedvc_live.evaluate import extras

    set_up_logging(options["log_level"], options["log_format"])
    conditions, systems = _listed(options["conditions"]), _listed(options["systems"])
    extras.require_all()
    from seedvc_live.evaluate import report, table
    from seedvc_live.evaluate.degrade import CONDITIONS
    from seedvc_live.evaluate.judges import Judges
    from seedvc_live.evaluate.memory import Memory
    from seedvc_live.evaluate.models import cache_folder
    from seedvc_live.evaluate.pairs import read_pairs, take
    from seedvc_live.evaluate.run import SYSTEMS, Evaluation, Plan
    from seedvc_live.evaluate.summary import summarise

    _known("conditions", conditions, tuple(CONDITIONS))
    _known("systems", systems, SYSTEMS)
    # Floor and ceiling are what all else is measured against, on clean sources.
    conditions = ["clean", *(name for name in conditions if name != "clean")]
    systems = [name for name in SYSTEMS if name in {*systems, "floor", "ceiling"}]
    chosen = take(read_pairs(listed), options["limit"])
    engine, settings = make_engine(options)
    with contextlib.closing(engine):
        memory = Memory(None if options["fresh"] else cache_folder() / "judged")
        judges = Judges(options["models"], options["language"], memory)
        engine.warm_up()
        plan = Plan(chosen, audio, conditions, systems, options["seed"], options["examples"])
        evaluation = Evaluation(plan, engine, settings, judges)
        begin = time.monotonic()
        with tqdm(total=len(chosen), unit="pair", disable=None, leave=False, file=sys.stderr) as bar:

            def progress(done: int, total: int) -> None:
                bar.update(done - bar.n)
                _LOG.info("%d of %d pairs, %.0f s", done, total, time.monotonic() - begin)

            outcome = evaluation.run(progress)
        live = evaluation.geometry_ms()
        facts = report.about(
            engine,
            settings,
            live,
            {
                "pairs": len(chosen),
                "conditions": conditions,
                "systems": evaluation.systems,
                "language": options["language"],
                "seed": options["seed"],
                "wall_seconds": round(time.monotonic() - begin, 1),
            },
        )
        summary = summarise(outcome.scores, options["seed"])
    result = {"about": facts, "summary": summary, "scores": [score.as_dict() for score in outcome.scores]}
    written = report.write(output, result, outcome) if output else []
    if options["as_json"]:
        print_json(result)
        return
    click.echo(table.render(summary))
    click.echo(f"\n{report.caption(facts)}")
    for path in written:
        click.echo(f"written to {path}")


def _listed(text: str) -> list[str]:
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def _known(option: str, given: list[str], known: tuple[str, ...]) -> None:
    for name in given:
        if name not in known:
            raise SettingsError(option, f"--{option}: no '{name}'; known: {', '.join(known)}")
