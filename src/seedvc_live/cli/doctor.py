"""`seedvc-live doctor`: what is installed, what is missing, and the command that installs it."""

from __future__ import annotations

import click

from seedvc_live.cli.common import model_options, print_json
from seedvc_live.doctor import as_dict, check_all, healthy
from seedvc_live.engines.registry import ENGINES


@click.command("doctor")
@click.option("--engine", type=click.Choice(ENGINES), help="Check this engine only.")
@model_options
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.option("--brief", is_flag=True, help="Print what is missing, and one line if nothing is.")
def command(
    engine: str | None,
    model: str | None,
    model_dir: str | None,
    revision: tuple[str, ...],
    config: str | None,
    as_json: bool,
    brief: bool,
) -> int:
    """Check the installation. Exit status 1 where something that is required is missing.

    With --engine seed-vc every file of the model is listed, there or missing.
    """
    checks = check_all(engine, model, model_dir, revision, config)
    ok = healthy(checks)
    if as_json:
        print_json(as_dict(checks))
        return 0 if ok else 1
    for check in checks:
        if brief and check.ok:
            continue
        mark = "ok     " if check.ok else ("MISSING" if check.required else "absent ")
        click.echo(f"{mark} {check.name:20} {check.detail}")
        if check.remedy and not check.ok:
            click.echo(f"        → {check.remedy}")
    click.echo("everything that is required is there" if ok else "something is missing: see above")
    return 0 if ok else 1
