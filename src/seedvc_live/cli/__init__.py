"""The command `seedvc-live`. One module per subcommand, imported when it is called."""

from __future__ import annotations

import importlib
import itertools
import os
import sys
import traceback
from collections.abc import Sequence

import click

from seedvc_live._version import __version__
from seedvc_live.errors import SeedVCLiveError, SettingsError

_COMMANDS = {
    "convert": "Convert a recording into another voice.",
    "stream": "Convert live: from and to files, RTP, UDP, microphone and speaker.",
    "serve": "Serve browsers and other WebRTC clients.",
    "voices": "Keep reference clips under an id: add, list, show, remove.",
    "bench": "Measure speed and latency of an engine on this machine.",
    "latency": "Measure mouth to ear through a running server.",
    "evaluate": "Measure similarity, intelligibility and quality on pairs of recordings.",
    "download": "Fetch the Seed-VC engine's model files.",
    "doctor": "What is installed, what is missing, and the command that installs it.",
}


class _Commands(click.Group):
    """Loads a subcommand's module only when it is needed: `--help` and `doctor` start at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"seedvc_live.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="seedvc-live")
def cli() -> None:
    """Real-time, zero-shot voice conversion."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 the job failed, 2 wrong usage. Errors are one line."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    # Its matrices are small: further threads would only spin, and take a core from others. Read when numpy loads.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    debug = _wants_traceback(arguments)
    try:
        status = cli.main(args=list(arguments), prog_name="seedvc-live", standalone_mode=False)
        sys.exit(status if isinstance(status, int) else 0)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        sys.exit(2)
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else "seedvc-live"
        _fail(f"{error.format_message()} (see '{where} --help')", 2)
    except click.ClickException as error:
        _fail(error.format_message(), 1)
    except (click.Abort, KeyboardInterrupt):
        _fail("interrupted", 130)
    except BrokenPipeError:
        sys.exit(1)
    except SettingsError as error:
        _fail(str(error), 2, debug)
    except SeedVCLiveError as error:
        _fail(str(error), 1, debug)
    except Exception as error:
        detail = " ".join(str(error).split()) or "no details"
        _fail(f"unexpected {type(error).__name__}: {detail} (--log-level debug shows where)", 1, debug)


def _wants_traceback(arguments: Sequence[str]) -> bool:
    return "--log-level=debug" in arguments or any(
        pair == ("--log-level", "debug") for pair in itertools.pairwise(arguments)
    )


def _fail(message: str, status: int, debug: bool = False) -> None:
    if debug:
        traceback.print_exc()
    click.echo(f"seedvc-live: error: {' '.join(message.split())}", err=True)
    sys.exit(status)
