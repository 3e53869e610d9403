"""The nano engine: zero-shot voice conversion on one CPU core, all weights in the package.

A source-filter synthesiser (DDSP: J. Engel et al., ICLR 2020) whose filters are drawn by a small causal
network from the source's content (Whisper's encoder on a short window), the pitch moved to the target's
register, and the reference's voice. What a stream remembers is in `state`, so blocks join without a
crossfade.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import soxr
from pydantic import Field, model_validator

from seedvc_live.audio.pcm import Pcm, Samples
from seedvc_live.engines.base import Block, Engine, Geometry, Settings, State, Voice, Window
from seedvc_live.engines.nano import (
    analysis,
    encoder,
    envelope,
    excitation,
    frames,
    grid,
    networks,
    pitch,
    reference,
    spectrum,
    synthesis,
)
from seedvc_live.engines.nano.colour import Colour
from seedvc_live.engines.nano.profiles import DEFAULT, PROFILES, Name
from seedvc_live.engines.nano.speaker import embed
from seedvc_live.engines.nano.statistics import Statistics
from seedvc_live.engines.reference import check_reference
from seedvc_live.errors import EngineError, VoiceError

Array = npt.NDArray[np.float32]

HISTORY = 22
"""Steps before a step that the decoder looks back at."""
_WARM = 2
"""Steps synthesised ahead of a cold block, so that it starts in full."""
_BEFORE = HISTORY + _WARM
WHOLE_LAYOUT = grid.Layout(56, 24)
"""Of the pieces of whole utterances: as much before as a cold start needs."""
WHOLE_STEPS = 1300
"""Longest piece of a whole utterance (26 s): a bound for the memory it takes."""
_LOUDEST = 4.0
"""Input is clipped here: far above full scale, far below what overflows."""
_CEILING = np.float32(5.0)
"""Largest log envelope: far above full scale, far below what overflows."""
_MATCHED = slice(frames.BOTTLENECK, frames.BOTTLENECK + synthesis.BANDS)


def _without_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


class NanoSettings(Settings):
    """Settings of the nano engine. `block` is the profile's unless it is given."""

    per_session: ClassVar[frozenset[str]] = frozenset({"block", "profile"})

    profile: Name = Field(default=DEFAULT, description="how much of the future is waited for, against delay")
    # No default in the schema: a form that sent it back would override the profile's.
    block: float = Field(
        default=PROFILES[DEFAULT].block,
        ge=0.04,
        le=0.5,
        description="block length in seconds, whole 20 ms; the profile's if not given",
        json_schema_extra=_without_default,
    )
    pitch_shift: float = Field(default=0.0, ge=-24.0, le=24.0, description="semitones added to the output's pitch")
    match_register: bool = Field(
        default=True, description="move the pitch to the target's register; off keeps the source's pitch"
    )

    @model_validator(mode="before")
    @classmethod
    def _block_of_profile(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("block") is None:
            # An unknown profile is the field's to complain about.
            chosen = PROFILES.get(values.get("profile", DEFAULT), PROFILES[DEFAULT])
            return {**values, "block": chosen.block}
        return values

    @property
    def layout(self) -> grid.Layout:
        """Context and lookahead of a session's windows."""
        return PROFILES[self.profile].layout


class NanoEngine(Engine):
    """See the module's text. Not for two threads at once.

    Raises:
        ModelFileError: a weight file is missing or damaged.
    """

    name: ClassVar[str] = "nano"
    settings_type: ClassVar[type[Settings]] = NanoSettings

    def __init__(self, weights: Path = networks.WEIGHTS) -> None:
        self._hash = networks.hash_of(weights)
        self._content = networks.open_session(weights / "content.onnx")
        self._pitch = networks.open_session(weights / "pitch.onnx")
        self._decoder = networks.open_session(weights / "decoder.onnx")
        self._speaker_file = weights / "speaker.onnx"
        self._speaker: Any = None
        self._constants = networks.load_constants(weights / "constants.npz")

    @property
    def sample_rate(self) -> int:
        """24000 Hz."""
        return grid.RATE

    @property
    def weights_hash(self) -> str:
        """SHA-256 over the weight files."""
        return self._hash

    def geometry(self, settings: Settings, voice: Voice) -> Geometry:
        """The profile's context and lookahead, the block in whole 20 ms; blocks join as they are."""
        layout = _own(settings).layout
        return Geometry(
            left_context=layout.context * grid.HOP,
            block=max(1, round(settings.block * grid.RATE / grid.STEP)) * grid.STEP,
            lookahead=layout.lookahead * grid.HOP,
        )

    def enroll(self, reference_clip: Pcm) -> Voice:
        """Derive a voice; see `Engine.enroll`. Tensors are described at `reference.describe`."""
        clip = check_reference(reference_clip)
        samples = np.clip(clip.samples, -_LOUDEST, _LOUDEST)
        wide = spectrum.without_rumble(_resampled(samples, clip.rate, grid.RATE), grid.RATE)
        narrow = spectrum.without_rumble(_resampled(samples, clip.rate, grid.ANALYSIS_RATE))
        heard = analysis.source_whole(self._content, narrow)
        content, level, gain = heard.content, heard.level, heard.gain
        points = len(level)
        if not reference.active(level, float(level.max())).any():
            raise VoiceError("no speech found in the reference: it is all but silent; give a louder clip")
        tracks = pitch.track(self._pitch, narrow[None])
        log_f0, voicing = pitch.at_points(tracks[0][0], tracks[1][0], 2 * np.arange(1, points // 2 + 1))
        if self._speaker is None:
            self._speaker = networks.open_session(self._speaker_file)
        tensors = reference.describe(
            self._constants, embed(self._speaker, narrow), content, envelope.shapes(wide, level, gain), level[1::2],
            log_f0, voicing, envelope.is_narrow(wide),
        )  # fmt: skip
        return Voice(self.name, self._hash, tensors)

    def convert(self, windows: Sequence[Window]) -> list[Block]:
        """See `Engine.convert`.

        Raises:
            VoiceError: a voice was made by another engine or with other weights.
            EngineError: a window is not of its geometry's size.
        """
        # One network call needs windows of one length; a cold window takes more steps than others.
        groups: dict[tuple[int, grid.Layout, bool], list[int]] = defaultdict(list)
        for index, window in enumerate(windows):
            self._check(window.voice)
            expected = self.geometry(window.settings, window.voice).window
            if window.samples.shape != (expected,):
                raise EngineError(f"a window has shape {window.samples.shape}, its geometry says ({expected},)")
            groups[expected, _own(window.settings).layout, window.state is None].append(index)
        blocks: dict[int, Block] = {}
        for indices in groups.values():
            chosen = [windows[i] for i in indices]
            blocks.update(
                zip(indices, self._convert(chosen, _own(chosen[0].settings).layout, analysis.measure), strict=True)
            )
        return [blocks[i] for i in range(len(windows))]

    def convert_whole(self, samples: Samples, voice: Voice, settings: Settings, seed: int = 0) -> Samples:
        """Convert a whole utterance that is known to its end, shape (n,) → (n,), aligned with it.

        Register, loudness, mean content and colour are the utterance's from its first sample on, pitch is tracked
        at once, content heard with the longest lookahead. Audio beyond 26 s is cut into as few pieces as it
        takes, which join as a stream's blocks do.

        Raises:
            VoiceError: the voice was made by another engine or with other weights.
        """
        self._check(voice)
        steps = -(-len(samples) // grid.STEP)
        pieces = max(1, -(-steps // WHOLE_STEPS))
        block = -(-steps // pieces) * grid.STEP
        left, right = WHOLE_LAYOUT.context * grid.HOP, WHOLE_LAYOUT.lookahead * grid.HOP
        padded = np.pad(samples, (left, pieces * block - len(samples) + right))
        state: State | None = None
        out = [np.zeros(0, np.float32)]
        for start in range(0, pieces * block, block) if steps else ():
            window = Window(start, padded[start : start + left + block + right], voice, settings, seed, state)
            done = self._convert([window], WHOLE_LAYOUT, analysis.measure_whole)[0]
            state = done.state
            out.append(done.samples)
        return np.concatenate(out)[: len(samples)]

    def _check(self, voice: Voice) -> None:
        if voice.engine != self.name or voice.weights != self._hash:
            raise VoiceError("the voice was made by another engine or other weights; enroll the reference again")

    def _convert(
        self, windows: Sequence[Window], layout: grid.Layout,
        measure: Callable[..., tuple[analysis.Measured, encoder.Memory]],
    ) -> list[Block]:  # fmt: skip
        samples = np.stack([_cleaned(window.samples) for window in windows])
        before = _BEFORE if windows[0].state is None else 0
        narrow = spectrum.without_rumble(spectrum.to_analysis_rate(samples))
        jobs = []
        # One window at a time: the network's 8-bit scales follow what is in the batch, and a stream must not hear
        # its neighbours.
        for window, one in zip(windows, narrow, strict=True):
            memory = encoder.Memory.empty() if window.state is None else encoder.Memory.unpack(window.state)
            measured, memory = measure(self._content, self._pitch, one, memory, before, layout)
            jobs.append(_Job(self._constants, window, measured, memory))
        inputs = {
            "rows": np.stack([job.rows for job in jobs]).astype(np.float32),
            "condition": np.stack([window.voice.tensors["condition"] for window in windows]),
        }
        corrections = self._decoder.run(["correction"], inputs)[0]
        return [job.finish(correction) for job, correction in zip(jobs, corrections, strict=True)]

    def warm_up(self) -> None:
        """Enroll a noise and convert one block of it."""
        noise = excitation.noise(0, 0, 2 * grid.RATE) * np.float32(0.1)
        voice = self.enroll(Pcm(noise, grid.RATE))
        settings = NanoSettings()
        size = self.geometry(settings, voice).window
        for state in (None, self.convert([Window(0, noise[:size], voice, settings)])[0].state):
            self.convert([Window(0, noise[:size], voice, settings, state=state)])


class _Job:
    """One window on its way: what goes into the decoder, and what is made of its answer."""

    def __init__(
        self, constants: reference.Constants, window: Window, measured: analysis.Measured, memory: encoder.Memory
    ) -> None:
        self.window, self.memory, state = window, memory, window.state
        settings = _own(window.settings)
        tensors = window.voice.tensors
        register = tensors["register"]
        content, self.level = measured.content, measured.level
        log_f0, voicing = measured.log_f0, measured.voicing
        before = Statistics.empty() if state is None else Statistics.unpack(state)
        self.colour = Colour.empty() if state is None else Colour.unpack(state)
        self.statistics = before.updated(content, self.level, log_f0[1:-1], voicing[1:-1])
        log_f0 = _to_register(self.statistics, constants, log_f0, register, settings)
        if state is None:
            history = np.zeros((0, frames.WIDTH), np.float16)
            self.phase = 0.0
            self.tail = np.zeros(synthesis.TAIL, np.float32)
        else:
            history = state["rows"]
            self.phase = float(state["phase"][0])
            self.tail = state["tail"]
            # These two points have already sounded, in the last block's last frame.
            log_f0[:2], voicing = state["pitch"][0], voicing.copy()
            voicing[:2] = state["pitch"][1]
        self.log_f0, self.voicing = log_f0, voicing
        content = content - self.statistics.content_mean(constants)
        bottleneck = np.tanh(
            (content / constants["content_scale"] @ constants["bottleneck_weight"] + constants["bottleneck_bias"]) / 3
        )
        matched = reference.match(reference.keys(constants, content), tensors["keys"], tensors["shapes"])
        new = frames.rows(
            (bottleneck * 3).astype(np.float32), matched, self.level, self.statistics.mean_level(), measured.bands,
            measured.changes, log_f0[1:-1], voicing[1:-1], register,
        )  # fmt: skip
        self.rows = np.concatenate([history, new])

    def finish(self, correction: Array) -> Block:
        """Synthesise; `correction` is the decoder's answer to the new ones of `rows`, shape (steps, 2, 2, BANDS)."""
        steps = len(self.rows) - HISTORY
        level, log_f0, voicing = (
            self.level[-2 * steps :],
            self.log_f0[-2 * steps - 2 :],
            self.voicing[-2 * steps - 2 :],
        )
        matched = self.rows[HISTORY - 1 :, _MATCHED].astype(np.float32)
        envelopes = np.clip(
            frames.base(matched, level)[:, None] + correction.reshape(2 * steps, 2, -1),
            -14,
            _CEILING,
        )
        voiced = voicing[1:-1]
        speech = reference.active(level, self.statistics.peak)
        colour = self.colour.updated(envelopes, level, voiced, speech)
        target = self.window.voice.tensors["colour"]
        envelopes = envelopes + colour.correction(target, voiced)[:, None]
        colour = colour.heard(envelopes, level, voiced, speech)
        mean_level = self.statistics.mean_level()
        quiet = frames.gate(level, mean_level) + frames.pause(level, self.statistics.floor, mean_level)
        quiet += frames.headroom(mean_level)
        envelopes = np.minimum(envelopes + colour.gain() + quiet[:, None, None], _CEILING)
        pulses, phases = excitation.pulses(log_f0, voicing, self.phase)
        warm = _WARM if self.window.state is None else 0
        start = self.window.start - warm * grid.STEP
        noise = excitation.noise(self.window.seed, start - start % 4, len(pulses))
        samples, tail = synthesis.synthesise(
            np.ascontiguousarray(envelopes[:, 0]),
            np.ascontiguousarray(envelopes[:, 1]),
            pulses,
            noise,
            self.tail,
        )
        state = {
            "rows": self.rows[-HISTORY:].copy(),
            "pitch": np.stack([log_f0[-2:], voicing[-2:]]).astype(np.float32),
            "phase": phases[-2:-1].copy(),
            "tail": tail,
            **self.memory.pack(),
            **self.statistics.pack(),
            **colour.pack(),
        }
        return Block(self.window.start, np.clip(samples[warm * grid.STEP :], -1, 1), state)


def _own(settings: Settings) -> NanoSettings:
    """The settings as nano's own; a mistake of the program, not of its user, if they are not."""
    assert isinstance(settings, NanoSettings)
    return settings


def _to_register(
    statistics: Statistics, constants: reference.Constants, log_f0: Array, register: Array, settings: NanoSettings
) -> Array:
    """Source log F0 moved to the target's register, and by the pitch shift."""
    shift = settings.pitch_shift * np.log(2) / 12
    if settings.match_register:
        mean, spread = statistics.register(constants["register"])
        # Half of the difference in liveliness (in the log): a short clip tells it badly.
        stretch = float(np.clip(np.sqrt(register[1] / spread), 0.8, 1.25))
        log_f0 = register[0] + stretch * (log_f0 - mean)
    return np.asarray(np.clip(log_f0 + shift, np.log(40.0), np.log(1200.0)), np.float32)


def _cleaned(samples: Samples) -> Samples:
    """Without NaN and infinities, which would otherwise stay in the stream's memory."""
    finite = np.where(np.isfinite(samples), samples, 0)
    return np.clip(finite, -_LOUDEST, _LOUDEST).astype(np.float32)


def _resampled(samples: Samples, rate: int, target: int) -> Samples:
    return np.asarray(soxr.resample(samples, rate, target) if rate != target else samples, np.float32)
