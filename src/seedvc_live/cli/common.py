"""Options and steps that several commands share."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

import click

from seedvc_live.engines.base import Engine, Settings, Voice
from seedvc_live.engines.registry import ENGINES, load_engine
from seedvc_live.errors import SettingsError

F = TypeVar("F", bound=Callable[..., Any])

_SETTINGS = {
    "steps": "diffusion_steps",
    "cfg_rate": "cfg_rate",
    "pitch_shift": "pitch_shift",
    "block": "block",
    "profile": "profile",
}
"""Option → name of the engine's setting."""

_OPTIONS = (
    "model",
    "model_dir",
    "revision",
    "checkpoint",
    "config",
    "device",
    "precision",
    "prompt_cache",
    "truncate",
    "compile",
    "compat",
)
"""Options of an engine's constructor."""


def model_options(command: F) -> F:
    """Which model of the Seed-VC engine, and where its files are."""
    for option in reversed(
        [
            click.option("--model", help="Model of the engine: seed-vc has xlsr-tiny, whisper-small, singing-44k."),
            click.option("--model-dir", help="Folder with the model's files [default: $SEEDVC_LIVE_MODELS] (seed-vc)."),
            click.option(
                "--revision",
                multiple=True,
                metavar="[REPOSITORY=]REVISION",
                help="Branch, tag or commit of the model's files, where it is not main (seed-vc).",
            ),
            click.option("--config", help="A fine-tuned model's configuration (seed-vc)."),
        ]
    ):
        command = option(command)
    return command


def engine_options(command: F) -> F:
    """Which engine, and how it is set."""
    for option in reversed(
        [
            click.option("--engine", type=click.Choice(ENGINES), default=ENGINES[0], show_default=True, help="Engine."),
            model_options,
            click.option("--checkpoint", help="A fine-tuned model's checkpoint; with --config (seed-vc)."),
            click.option("--device", help="Device, where the engine has a choice: auto, cpu, cuda (seed-vc)."),
            click.option(
                "--precision",
                type=click.Choice(["float32", "bf16", "fp16"]),
                help="Of matrix products [default: float32 on a CPU, bf16 or fp16 on a GPU] (seed-vc).",
            ),
            click.option("--prompt-cache", is_flag=True, default=None, help="Faster, approximate (seed-vc)."),
            click.option("--truncate", is_flag=True, default=None, help="Whisper unpadded, approximate (seed-vc)."),
            click.option("--compile", is_flag=True, default=None, help="torch.compile before starting (seed-vc)."),
            click.option("--compat", type=click.Choice(["none", "upstream"]), help="The original's framing (seed-vc)."),
            click.option("--steps", type=int, help="Diffusion steps (seed-vc)."),
            click.option("--cfg-rate", type=float, help="Classifier-free guidance (seed-vc)."),
            click.option("--pitch-shift", type=float, help="Semitones, on top of the voice's register."),
            click.option("--profile", help="low-latency, balanced or quality (nano): delay against quality."),
            click.option("--block", type=float, help="Block length in seconds; overrides the profile's."),
            click.option("--set", "pairs", multiple=True, metavar="NAME=VALUE", help="Any other setting."),
            click.option("--seed", type=int, default=0, show_default=True, help="Of the random draws."),
        ]
    ):
        command = option(command)
    return command


def log_options(command: F) -> F:
    """How much is logged, and in what form, on standard error."""
    return log_options_from("warning")(command)


def log_options_from(level: str) -> Callable[[F], F]:
    """The same, with another default level."""

    def decorate(command: F) -> F:
        command = click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True)(
            command
        )
        return click.option(
            "--log-level",
            type=click.Choice(["debug", "info", "warning", "error"]),
            default=level,
            show_default=True,
        )(command)

    return decorate


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": getattr(record, "event", None) or record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


def set_up_logging(level: str, form: str) -> None:
    """Send the package's log to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else logging.Formatter("seedvc-live: %(message)s"))
    logger = logging.getLogger("seedvc_live")
    logger.handlers[:] = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False


def make_engine(options: dict[str, Any], clip: bool = False) -> tuple[Engine, Settings]:
    """Load the engine that the options ask for and check its settings.

    Args:
        options: the command's.
        clip: start from the engine's defaults for whole clips instead of streams.

    Raises:
        EngineError, SettingsError: it does not exist, or does not have such a setting.
    """
    given = {name: options[name] for name in _OPTIONS if options.get(name) not in (None, ())}
    engine = load_engine(options["engine"], **given)
    values: dict[str, Any] = dict(engine.clip_settings) if clip and engine.has_clip_mode else {}
    values |= {setting: options[option] for option, setting in _SETTINGS.items() if options.get(option) is not None}
    for pair in options.get("pairs", ()):
        name, value = name_and_value("set", pair)
        values[name] = value
    return engine, engine.settings_type.parse(values)


def name_and_value(option: str, pair: str) -> tuple[str, str]:
    """What an option got as NAME=VALUE.

    Raises:
        SettingsError: there is no `=`.
    """
    name, equals, value = pair.partition("=")
    if not equals:
        raise SettingsError(name, f"--{option} takes NAME=VALUE, got '{pair}'")
    return name, value


def make_voice(engine: Engine, reference: str | None) -> Voice:
    """Enroll the reference: a clip's path, or the id of a stored voice, which is enrolled once.

    Raises:
        MediaError, VoiceError: it cannot be read, or is not fit.
    """
    if reference is None:
        return engine.default_voice()
    from seedvc_live.media.load import load_audio
    from seedvc_live.service.voices import VoiceStore, is_voice_id

    if not is_voice_id(reference) or os.path.exists(reference):
        return engine.enroll(load_audio(reference))
    store = VoiceStore()
    clip = store.reference(reference)
    there = store.tensors(reference, engine.name, engine.weights_hash)
    if there is not None:
        return Voice.load(there)
    voice = engine.enroll(load_audio(clip))
    with store.workspace() as work:
        voice.save(work / "voice")
        store.keep_tensors(reference, engine.name, engine.weights_hash, work / "voice")
    return voice


def same_file(first: str, second: str) -> bool:
    """Whether two names mean one file, links included."""
    try:
        return os.path.samefile(first, second)
    except OSError:
        return os.path.abspath(first) == os.path.abspath(second)


def print_json(values: dict[str, Any]) -> None:
    """One JSON object on standard output."""
    click.echo(json.dumps(values, indent=2, ensure_ascii=False))
