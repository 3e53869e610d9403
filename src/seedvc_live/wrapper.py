"""SeedVCWrapper: the guide's interface, on any engine."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from seedvc_live.audio.pcm import Samples
from seedvc_live.engines.base import Engine, Settings, Voice
from seedvc_live.engines.registry import load_engine
from seedvc_live.errors import SettingsError
from seedvc_live.live.converter import LiveConverter

Whole = tuple[int, Samples]

_NETWORK = {"rtp", "udp"}

SINGING = "singing-44k"
BLOCK, CROSSFADE = 0.18, 0.04
"""Seconds, of `convert_voice_gstreamer`, as in the guide."""


class SeedVCWrapper:
    """Voice conversion by file or stream with one call.

    Settings that an engine does not have (nano has no diffusion steps) are left at rest; all others are
    checked by it.
    """

    def __init__(self, engine: str = "seed-vc", **options: Any) -> None:
        """
        Args:
            engine: name of the engine.
            options: of the engine's constructor; for seed-vc `model`, `model_dir`, `device` and others.

        Raises:
            EngineError: it does not exist or cannot be loaded.
        """
        self.engine: Engine = load_engine(engine, **options)
        self._options = options
        self._singing: Engine | None = None

    @property
    def sr(self) -> int:
        """Rate of the converted audio, Hz (with `f0_condition`, the singing model's: see `convert_voice`)."""
        return self.engine.sample_rate

    def convert_voice(
        self,
        source: str | os.PathLike[str],
        target: str | os.PathLike[str],
        diffusion_steps: int = 10,
        length_adjust: float = 1.0,
        inference_cfg_rate: float = 0.7,
        f0_condition: bool = False,
        auto_f0_adjust: bool = True,
        pitch_shift: float = 0,
        stream_output: bool = True,
    ) -> Iterator[tuple[npt.NDArray[np.float32] | None, Whole | None]] | Samples:
        """Convert the file `source` into the voice of the file `target`.

        seed-vc converts the clip in its own way for clips; engines that have streams only convert block by block.

        Args:
            length_adjust: duration of the result over that of the source (seed-vc).
            f0_condition: use the pitch-conditioned model (seed-vc: `singing-44k`, loaded at its first use).
            auto_f0_adjust: move the source's median pitch to the target's.
            pitch_shift: semitones.

        Returns:
            With `stream_output` an iterator of (block, None) and, last, (None, (rate, whole)); else the
            whole, shape (n,), float32.

        Raises:
            EngineError: the singing model cannot be loaded.
            SettingsError: a value is out of range, or the engine cannot do it.
            MediaError, VoiceError: a file cannot be read, or the target is unfit.
        """
        engine = self._with_pitch() if f0_condition else self.engine
        if length_adjust != 1.0 and not engine.has_clip_mode:
            raise SettingsError(
                "length_adjust", f"length_adjust must be 1: engine '{engine.name}' keeps its input's timing"
            )
        if not 0.25 <= length_adjust <= 4.0:
            raise SettingsError("length_adjust", f"length_adjust must be between 0.25 and 4, got {length_adjust:g}")
        wanted = {
            "diffusion_steps": diffusion_steps,
            "cfg_rate": inference_cfg_rate,
            "auto_f0": auto_f0_adjust,
            "pitch_shift": pitch_shift,
        }
        settings = _settings(engine, {**engine.clip_settings, **wanted})
        voice = _voice(engine, target)
        if engine.has_clip_mode:
            engine.geometry(settings, voice)  # refuses what the model cannot do
            blocks = _clip(engine, source, voice, settings, length_adjust)
        else:
            blocks = _blocks(LiveConverter(engine, voice, settings), source)
        if stream_output:
            return _streamed(blocks, engine.sample_rate)
        parts = list(blocks)
        return np.concatenate(parts) if parts else _EMPTY

    def _with_pitch(self) -> Engine:
        """The engine's model that is conditioned on pitch. Engines of one model only are what they are."""
        if self.engine.name != "seed-vc" or self._options.get("model") == SINGING:
            return self.engine
        if self._singing is None:
            for own in ("checkpoint", "config"):
                if own in self._options:
                    raise SettingsError("f0_condition", f"f0_condition loads '{SINGING}': it cannot go with {own}")
            self._singing = load_engine("seed-vc", **{**self._options, "model": SINGING})
        return self._singing

    def convert_voice_gstreamer(
        self,
        reference_wav_path: str | os.PathLike[str],
        diffusion_steps: int = 10,
        inference_cfg_rate: float = 0.7,
        input_type: str = "file",
        output_type: str = "file",
        **io_kwargs: Any,
    ) -> dict[str, Any]:
        """Convert from one GStreamer end to another until the input ends; returns the report.

        Args:
            input_type: 'file', 'rtp', 'udp' or 'test'.
            output_type: 'file', 'rtp', 'udp' or 'autoaudiosink'.
            io_kwargs: `input_file`, `input_host`, `input_port`, `frequency`; `output_file`, `output_host`,
                `output_port`, `bitrate`; `block` (0.18), `crossfade` (0.04), `duration` and `idle_timeout`
                in seconds; `allow_slow` to stream though the engine cannot keep up. With one network end `host`
                and `port` mean that end.

        Raises:
            SettingsError: an argument is unknown, missing, or `port` would mean two ends.
            TooSlowError: the engine cannot keep up with a live stream here.
        """
        from seedvc_live.media.open import open_sink, open_source
        from seedvc_live.media.sinks import FileSink
        from seedvc_live.media.sources import FileSource
        from seedvc_live.offline import Conversion, convert_offline
        from seedvc_live.realtime import require_real_time
        from seedvc_live.report import Report
        from seedvc_live.session import LiveSession

        duration, idle = io_kwargs.pop("duration", None), io_kwargs.pop("idle_timeout", None)
        allow_slow = io_kwargs.pop("allow_slow", False)
        lengths = {"block": io_kwargs.pop("block", BLOCK), "crossfade": io_kwargs.pop("crossfade", CROSSFADE)}
        address_in, address_out = _addresses(input_type, output_type, io_kwargs)
        wanted = {"diffusion_steps": diffusion_steps, "cfg_rate": inference_cfg_rate, **lengths}
        if "join" in self.engine.settings_type.model_fields:
            wanted["join"] = "cos2"  # passthrough: without it there is no crossfade
        settings = _settings(self.engine, wanted)
        conversion = Conversion(self.engine, _voice(self.engine, reference_wav_path), settings)
        report = Report(
            self.engine.name,
            address_in.path or f"{address_in.kind}:{address_in.port}",
            str(reference_wav_path),
            address_out.path or f"{address_out.kind}:{address_out.port}",
        )
        report.warnings += self.engine.approximations(conversion.voice, settings)
        if address_in.kind == address_out.kind == "file":
            source = FileSource(address_in.path, self.sr)
            return convert_offline(conversion, source, FileSink(address_out.path, self.sr), report).as_dict()
        self.engine.warm_up()
        reserve = require_real_time(self.engine, conversion.voice, settings, allow_slow=allow_slow)
        session = LiveSession(
            conversion,
            open_source(address_in, self.sr),
            open_sink(address_out, self.sr),
            report,
            playout=0.04 if input_type in _NETWORK else 0.0,
            duration=duration,
            idle_timeout=idle,
            announced=input_type != "udp",
            reserve=reserve,
        )
        return session.run().as_dict()


def _voice(engine: Engine, path: str | os.PathLike[str]) -> Voice:
    from seedvc_live.media.load import load_audio

    return engine.enroll(load_audio(path))


def _settings(engine: Engine, wanted: Mapping[str, Any]) -> Settings:
    known = engine.settings_type.model_fields
    return engine.settings_type.parse({name: value for name, value in wanted.items() if name in known})


def _clip(
    engine: Engine, path: str | os.PathLike[str], voice: Voice, settings: Settings, length_adjust: float
) -> Iterator[Samples]:
    from seedvc_live.media.load import load_audio

    source = load_audio(path, rate=engine.sample_rate)
    return engine.convert_clip(source, voice, settings, length_adjust=length_adjust)


def _blocks(live: LiveConverter, path: str | os.PathLike[str]) -> Iterator[Samples]:
    from seedvc_live.media.sources import FileSource

    source = FileSource(path, live.engine.sample_rate)
    try:
        source.start()
        while not source.ended:
            chunk = source.read_chunk(0.1)
            out = live.push(chunk.samples) if chunk is not None else live.push(_EMPTY)
            if len(out):
                yield out
        tail = live.flush()
        if len(tail):
            yield tail
    finally:
        source.stop()


def _streamed(blocks: Iterator[Samples], rate: int) -> Iterator[tuple[npt.NDArray[np.float32] | None, Whole | None]]:
    parts = []
    for block in blocks:
        parts.append(block)
        yield block, None
    yield None, (rate, np.concatenate(parts) if parts else _EMPTY)


_EMPTY = np.zeros(0, dtype=np.float32)

_KNOWN = {
    "input_file",
    "input_host",
    "input_port",
    "frequency",
    "output_file",
    "output_host",
    "output_port",
    "bitrate",
    "host",
    "port",
}


def _addresses(input_type: str, output_type: str, given: dict[str, Any]) -> tuple[Any, Any]:
    from seedvc_live.media.uri import Address

    unknown = sorted(set(given) - _KNOWN)
    if unknown:
        raise SettingsError(unknown[0], f"unknown argument '{unknown[0]}'; known: {', '.join(sorted(_KNOWN))}")
    for name, kind, kinds in (
        ("input_type", input_type, ("file", "rtp", "udp", "test")),
        ("output_type", output_type, ("file", "rtp", "udp", "autoaudiosink")),
    ):
        if kind not in kinds:
            raise SettingsError(name, f"{name} must be one of {', '.join(kinds)}, got '{kind}'")
    both = input_type in _NETWORK and output_type in _NETWORK
    for name in ("host", "port"):
        if name in given and both:
            raise SettingsError(
                name, f"'{name}' could mean either network end: use input_port, output_host and output_port"
            )

    def end(kind: str, side: str) -> Address:
        if kind == "file":
            return Address("file", path=str(given.get(f"{side}_file", f"{side}.wav")))
        if kind in _NETWORK:
            host = given.get(f"{side}_host", given.get("host", "127.0.0.1"))
            port = given.get(f"{side}_port", given.get("port", 5004 if side == "input" else 5005))
            parameters: dict[str, Any] = {}
            if side == "output" and kind == "rtp" and "bitrate" in given:
                parameters["bitrate"] = given["bitrate"]
            return Address(kind, host=str(host), port=int(port), parameters=parameters)  # type: ignore[arg-type]
        if kind == "test":
            return Address("test", parameters={"freq": float(given.get("frequency", 440.0))})
        return Address("speaker")

    return end(input_type, "input"), end(output_type, "output")
