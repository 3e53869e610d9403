"""SeedVCWrapper: the guide's interface, on any engine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from seedvc_live.audio.pcm import Samples
from seedvc_live.engines.base import Engine, Settings
from seedvc_live.engines.registry import load_engine
from seedvc_live.errors import SettingsError
from seedvc_live.live.converter import LiveConverter

Whole = tuple[int, Samples]

_NETWORK = {"rtp", "udp"}


class SeedVCWrapper:
    """Voice conversion by file or stream with one call.

    Settings that an engine does not have (nano has no diffusion steps) are left at rest; all others are
    checked by it.
    """

    def __init__(self, engine: str = "nano", **options: Any) -> None:
        """
        Args:
            engine: name of the engine.
            options: of the engine's constructor.

        Raises:
            EngineError: it does not exist or cannot be loaded.
        """
        self.engine: Engine = load_engine(engine, **options)

    @property
    def sr(self) -> int:
        """Rate of the converted audio, Hz."""
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

        Returns:
            With `stream_output` an iterator of (block, None) and, last, (None, (rate, whole)); else the
            whole, shape (n,), float32.

        Raises:
            SettingsError: `length_adjust` is not 1: a live conversion keeps its input's timing.
            MediaError, VoiceError: a file cannot be read, or the target is unfit.
        """
        if length_adjust != 1.0:
            raise SettingsError("length_adjust", "length_adjust must be 1: output time is input time here")
        live = self._converter(
            target,
            diffusion_steps=diffusion_steps,
            cfg_rate=inference_cfg_rate,
            f0_condition=f0_condition,
            auto_f0=auto_f0_adjust,
            pitch_shift=pitch_shift,
        )
        blocks = self._blocks(live, source)
        if stream_output:
            return self._streamed(blocks)
        parts = list(blocks)
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.float32)

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
                `output_port`, `bitrate`; `duration` and `idle_timeout` in seconds. With one network end
                `host` and `port` mean that end.

        Raises:
            SettingsError: an argument is unknown, missing, or `port` would mean two ends.
        """
        from seedvc_live.media.open import open_sink, open_source
        from seedvc_live.media.sinks import FileSink
        from seedvc_live.media.sources import FileSource
        from seedvc_live.offline import Conversion, convert_offline
        from seedvc_live.report import Report
        from seedvc_live.session import LiveSession

        duration, idle = io_kwargs.pop("duration", None), io_kwargs.pop("idle_timeout", None)
        address_in, address_out = _addresses(input_type, output_type, io_kwargs)
        settings = self._settings(diffusion_steps=diffusion_steps, cfg_rate=inference_cfg_rate)
        conversion = Conversion(self.engine, self._voice(reference_wav_path), settings)
        report = Report(
            self.engine.name,
            address_in.path or f"{address_in.kind}:{address_in.port}",
            str(reference_wav_path),
            address_out.path or f"{address_out.kind}:{address_out.port}",
        )
        if address_in.kind == address_out.kind == "file":
            source = FileSource(address_in.path, self.sr)
            return convert_offline(conversion, source, FileSink(address_out.path, self.sr), report).as_dict()
        session = LiveSession(
            conversion,
            open_source(address_in, self.sr),
            open_sink(address_out, self.sr),
            report,
            playout=0.04 if input_type in _NETWORK else 0.0,
            duration=duration,
            idle_timeout=idle,
            announced=input_type != "udp",
        )
        return session.run().as_dict()

    def _voice(self, path: str | os.PathLike[str]) -> Any:
        from seedvc_live.media.load import load_audio

        return self.engine.enroll(load_audio(path))

    def _settings(self, **wanted: Any) -> Settings:
        known = self.engine.settings_type.model_fields
        return self.engine.settings_type.parse({k: v for k, v in wanted.items() if k in known})

    def _converter(self, target: str | os.PathLike[str], **wanted: Any) -> LiveConverter:
        return LiveConverter(self.engine, self._voice(target), self._settings(**wanted))

    def _blocks(self, live: LiveConverter, path: str | os.PathLike[str]) -> Iterator[Samples]:
        from seedvc_live.media.sources import FileSource

        source = FileSource(path, self.sr)
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

    def _streamed(self, blocks: Iterator[Samples]) -> Iterator[tuple[npt.NDArray[np.float32] | None, Whole | None]]:
        parts = []
        for block in blocks:
            parts.append(block)
            yield block, None
        yield None, (self.sr, np.concatenate(parts) if parts else _EMPTY)


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
