"""The Seed-VC engine: windows of many streams, in batches, through one set of networks."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from seedvc_live.audio.pcm import Pcm, Samples
from seedvc_live.audio.resample import resample
from seedvc_live.engines.base import Block, Engine, Geometry, Settings, State, Voice, Window
from seedvc_live.engines.reference import check_reference
from seedvc_live.engines.seedvc.cfm import Memories
from seedvc_live.engines.seedvc.compiled import compile_transformer
from seedvc_live.engines.seedvc.hub import ModelStore, default_folder, parse_revisions
from seedvc_live.engines.seedvc.loader import Networks, device_of, load_networks
from seedvc_live.engines.seedvc.noise import IndexedNoise, Noise
from seedvc_live.engines.seedvc.precision import Precision, product_type
from seedvc_live.engines.seedvc.presets import SEED_VC, preset
from seedvc_live.engines.seedvc.prompt import Prompt, encode, frame_index, make_prompt
from seedvc_live.engines.seedvc.settings import SeedVCSettings
from seedvc_live.engines.seedvc.sizes import ENCODER_HOP, ENCODER_RATE, StreamSizes, exact_sizes, upstream_sizes
from seedvc_live.errors import EngineError, SettingsError

Compat = Literal["none", "upstream"]

_KEPT_PROMPTS = 64
_KEPT_MEMORIES = 4
_BUFFER = "buffer_16k"


class SeedVCEngine(Engine):
    """Zero-shot conversion with the published Seed-VC checkpoints.

    Args:
        networks: a loaded model (see `load`).
        precision: of the transformer's matrix products (see `precision`); the vocoder stays float32.
        prompt_cache: the prompt attends to itself only, and is computed once per voice. Approximate.
        compat: "upstream" reproduces the original's framing; by default its oddities are mended.
        noise: where random draws come from.
        max_batch: windows that share one pass. By default 1 on a CPU, where one window fills the cores'
            arithmetic units and larger batches were not faster, and 32 elsewhere.
        compiled: the transformer through torch.compile, with CUDA graphs on a GPU; `warm_up` compiles.
    """

    name: ClassVar[str] = "seed-vc"
    settings_type: ClassVar[type[Settings]] = SeedVCSettings
    has_clip_mode: ClassVar[bool] = True
    clip_settings: ClassVar[Mapping[str, Any]] = {"prompt_seconds": 25.0}

    def __init__(
        self,
        networks: Networks,
        *,
        precision: Precision | None = None,
        prompt_cache: bool = False,
        compat: Compat = "none",
        noise: Noise | None = None,
        max_batch: int | None = None,
        compiled: bool = False,
    ) -> None:
        if compat not in ("none", "upstream"):
            raise EngineError(f"unknown compat '{compat}'; there are: none, upstream")
        self.networks = networks
        self.prompt_cache = prompt_cache
        self.exact = compat == "none"
        self.noise: Noise = noise or IndexedNoise()
        self.device = networks.flow.estimator.device
        self.max_batch = max_batch or (1 if self.device.type == "cpu" else 32)
        kind = product_type(precision, self.device)
        if kind is not torch.float32:
            networks.flow.lower_precision(kind)
        self.compiled = compiled
        if compiled:
            compile_transformer(networks.flow.estimator)
        self._prompts: OrderedDict[tuple[int, float], tuple[Voice, Prompt]] = OrderedDict()
        self._memories: OrderedDict[tuple[int, float, int, bool], tuple[Prompt, Memories]] = OrderedDict()

    @classmethod
    def load(
        cls,
        model: str = "xlsr-tiny",
        *,
        model_dir: Path | str | None = None,
        revision: Iterable[str] = (),
        checkpoint: Path | str | None = None,
        config: Path | str | None = None,
        device: str = "auto",
        truncate: bool = False,
        precision: Precision | None = None,
        prompt_cache: bool = False,
        compat: Compat = "none",
        max_batch: int | None = None,
        compile: bool = False,
    ) -> SeedVCEngine:
        """Load a model from a folder. Nothing is downloaded.

        Args:
            model: "xlsr-tiny", "whisper-small" or "singing-44k".
            model_dir: the folder; by default `SEEDVC_LIVE_MODELS`, or the user's cache.
            revision: of the snapshots in a hub cache: of Plachta/Seed-VC, or as `REPOSITORY=REVISION`.
            checkpoint, config: a fine-tuned model's own files.
            device: a torch device; "auto" is a GPU if there is one.
            truncate: Whisper without padding to 30 s. Approximate; `approximations` says how much.
            precision, prompt_cache, compat, max_batch, compile: see the class.

        Raises:
            EngineError: there is no such model, device or precision.
            ModelFileError: a file is missing, damaged or of another model.
        """
        folder = Path(model_dir) if model_dir is not None else default_folder()
        store = ModelStore(folder, parse_revisions(revision, SEED_VC))
        kind = product_type(precision, device_of(device))
        networks = load_networks(
            preset(model),
            store,
            checkpoint=None if checkpoint is None else Path(checkpoint),
            config_file=None if config is None else Path(config),
            device=device,
            truncate=truncate,
            encoder_type=None if kind is torch.float32 else kind,
        )
        return cls(
            networks,
            precision=precision,
            prompt_cache=prompt_cache,
            compat=compat,
            max_batch=max_batch,
            compiled=compile,
        )

    @property
    def sample_rate(self) -> int:
        return self.networks.config.mel.rate

    @property
    def weights_hash(self) -> str:
        return self.networks.weights

    def sizes(self, settings: SeedVCSettings) -> StreamSizes:
        """Sizes of a stream with these settings."""
        mel = self.networks.config.mel
        if self.exact:
            return exact_sizes(settings, rate=mel.rate, hop=mel.hop)
        return upstream_sizes(
            settings.block,
            settings.crossfade,
            settings.context,
            settings.dit_context,
            settings.lookahead,
            rate=mel.rate,
            model_rate=mel.rate,
            hop=mel.hop,
        )

    def geometry(self, settings: Settings, voice: Voice) -> Geometry:
        own = self._own(settings)
        self.check_pitch(own)
        try:
            return self.sizes(own).geometry()
        except ValueError as error:
            raise SettingsError("block", f"setting 'block': {error}") from None

    def check_pitch(self, settings: SeedVCSettings) -> None:
        """
        Raises:
            SettingsError: a pitch shift is asked of a model without pitch.
        """
        if settings.pitch_shift and self.networks.pitch is None:
            raise SettingsError("pitch_shift", "setting 'pitch_shift': only the model 'singing-44k' can shift pitch")

    @torch.inference_mode()
    def enroll(self, reference: Pcm) -> Voice:
        clip = resample(check_reference(reference), self.sample_rate).samples
        seconds = SeedVCSettings().prompt_seconds
        prompt = make_prompt(self.networks, clip, seconds, self.exact)
        tensors = {**prompt.arrays(), "prompt_seconds": np.array([seconds]), "reference": clip}
        return Voice(self.name, self.weights_hash, tensors)

    def prompt(self, voice: Voice, seconds: float) -> Prompt:
        """The voice's prompt of this length: as enrolled, or made on its first use."""
        key = (id(voice), seconds)
        kept = self._prompts.get(key)
        if kept is not None and kept[0] is voice:
            self._prompts.move_to_end(key)
            return kept[1]
        if voice.engine != self.name or voice.weights != self.weights_hash:
            raise EngineError("this voice was made by another engine or with other weights; enroll it again")
        if float(voice.tensors["prompt_seconds"][0]) == seconds:
            prompt = Prompt.from_arrays(voice.tensors, self.device)
        else:
            prompt = make_prompt(self.networks, voice.tensors["reference"], seconds, self.exact)
        self._prompts[key] = (voice, prompt)
        if len(self._prompts) > _KEPT_PROMPTS:
            self._prompts.popitem(last=False)
        return prompt

    @torch.inference_mode()
    def convert(self, windows: Sequence[Window]) -> list[Block]:
        groups: dict[tuple[object, ...], list[int]] = {}
        for i, window in enumerate(windows):
            settings = self._own(window.settings)
            length = self.prompt(window.voice, settings.prompt_seconds).frames if self.prompt_cache else 0
            key = (self.sizes(settings), settings.diffusion_steps, settings.cfg_rate > 0, length)
            groups.setdefault(key, []).append(i)
        blocks: dict[int, Block] = {}
        for group in groups.values():
            for first in range(0, len(group), self.max_batch):
                members = group[first : first + self.max_batch]
                # Compiled code has fixed shapes: fill up to the next power of two, so that there are few.
                size = 1 << (len(members) - 1).bit_length() if self.compiled else len(members)
                filled = [windows[i] for i in members] + [windows[members[-1]]] * (size - len(members))
                for i, block in zip(members, self._convert(filled), strict=False):
                    blocks[i] = block
        return [blocks[i] for i in range(len(windows))]

    def convert_clip(
        self, source: Pcm, voice: Voice, settings: Settings, *, seed: int = 0, length_adjust: float = 1.0
    ) -> Iterator[Samples]:
        from seedvc_live.engines.seedvc.offline import convert_clip

        return convert_clip(self, source, voice, self._own(settings), seed, length_adjust)

    def convert_whole(self, samples: Samples, voice: Voice, settings: Settings, seed: int = 0) -> Samples:
        """For `evaluate`: samples of an utterance, shape (n,) → (n,), as `convert_clip` converts them."""
        return np.concatenate(list(self.convert_clip(Pcm(samples, self.sample_rate), voice, settings, seed=seed)))

    def approximations(self, voice: Voice, settings: Settings) -> list[str]:
        from seedvc_live.engines.seedvc.approximation import describe

        return describe(self, voice, self._own(settings))

    def warm_up(self) -> None:
        """Convert noise: once, or, compiled, at every batch size there will be."""
        noise = np.random.default_rng(0).normal(0, 0.1, self.sample_rate * 4).astype(np.float32)
        voice, settings = self.enroll(Pcm(noise, self.sample_rate)), SeedVCSettings()
        window = Window(0, noise[: self.geometry(settings, voice).window], voice, settings)
        size = 1
        while size <= (self.max_batch if self.compiled else 1):
            for _ in range(2 if self.compiled else 1):  # a CUDA graph is recorded by the second call
                self.convert([window] * size)
            size *= 2

    def close(self) -> None:
        self._prompts.clear()
        self._memories.clear()

    # --- one batch of equal sizes

    def _own(self, settings: Settings) -> SeedVCSettings:
        if not isinstance(settings, SeedVCSettings):
            raise EngineError(f"engine '{self.name}' needs SeedVCSettings, got {type(settings).__name__}")
        return settings

    def _convert(self, windows: list[Window]) -> list[Block]:
        settings = [self._own(window.settings) for window in windows]
        sizes = self.sizes(settings[0])
        prompts = [self.prompt(w.voice, s.prompt_seconds) for w, s in zip(windows, settings, strict=True)]
        waves, states = zip(*(self._wave_16k(window, sizes) for window in windows), strict=True)
        wave = torch.from_numpy(np.stack(waves)).to(self.device)
        mu = self.content(wave, sizes, settings, prompts)
        first = [self._first_sample(window, sizes) for window in windows]
        seeds = [window.seed for window in windows]
        mel = self.generate(mu, prompts, settings, seeds, first, self.prompt_cache)
        samples = self.networks.vocoder.synthesise(mel, sizes.out_start, sizes.out_length, self.noise, seeds, first)
        out = samples.float().cpu().numpy()
        return [
            Block(window.start, np.ascontiguousarray(row), state)
            for window, row, state in zip(windows, out, states, strict=True)
        ]

    def _first_sample(self, window: Window, sizes: StreamSizes) -> int:
        """Absolute index of the first sample that the transformer sees."""
        seen_from = window.start + sizes.overlap + sizes.search + sizes.block + sizes.right - sizes.window
        return seen_from + sizes.dropped * sizes.unit

    def _wave_16k(self, window: Window, sizes: StreamSizes) -> tuple[Samples, State | None]:
        """The window at 16 kHz, shape (window_16k,)."""
        if window.samples.shape != (sizes.window,):
            raise EngineError(f"a window of shape {window.samples.shape}, expected ({sizes.window},)")
        wanted = sizes.window_16k
        if self.exact:
            wave = resample(Pcm(window.samples, self.sample_rate), ENCODER_RATE).samples
            return np.pad(wave[:wanted], (0, max(0, wanted - len(wave)))), None
        # Upstream resamples each block with 40 ms before it, and keeps all but the first 20 ms of the result.
        recent = window.samples[-(sizes.block + 2 * sizes.unit) :]
        fresh = resample(Pcm(recent, self.sample_rate), ENCODER_RATE).samples[ENCODER_HOP:]
        kept = np.zeros(wanted, np.float32) if window.state is None else window.state[_BUFFER]
        buffer = np.concatenate([kept[sizes.block_16k :], np.zeros(sizes.block_16k, np.float32)])
        size = sizes.block_16k + ENCODER_HOP
        buffer[-size:] = fresh[:size]
        return buffer, {_BUFFER: buffer}

    def content(
        self, wave: Tensor, sizes: StreamSizes, settings: Sequence[SeedVCSettings], prompts: Sequence[Prompt]
    ) -> Tensor:
        """Conditions of the frames to generate: (B, window_16k) → (B, mel_frames, content_dim)."""
        networks = self.networks
        mel = networks.config.mel
        features = encode(networks, wave, self.exact)[:, sizes.dropped :]
        f0, index = None, None
        if self.exact:
            index = frame_index(sizes.mel_frames, features.shape[1], mel.rate, mel.hop).to(self.device)
            if networks.pitch is not None:
                pitch = networks.pitch.pitch(wave[:, sizes.dropped * ENCODER_HOP :])
                rows = [shift_pitch(*row) for row in zip(pitch, settings, prompts, strict=True)]
                f0 = torch.from_numpy(np.stack(rows)).to(self.device)
        lengths = torch.full((wave.shape[0],), sizes.mel_frames)
        return networks.regulator(features, lengths, f0, index)

    def generate(
        self,
        mu: Tensor,
        prompts: Sequence[Prompt],
        settings: Sequence[SeedVCSettings],
        seeds: Sequence[int],
        first: Sequence[int],
        prompt_cache: bool = False,
    ) -> Tensor:
        """Mel of the source's frames.

        Args:
            mu: (B, M, content_dim).
            prompts, settings, seeds: one per sample; equal steps, all guided or none.
            first: absolute index of the first sample of each.
            prompt_cache: prompts of one length, remembered. Approximate.

        Returns:
            (B, n_mels, M).
        """
        flow, mel = self.networks.flow, self.networks.config.mel
        frames, steps = mu.shape[1], settings[0].diffusion_steps
        rates = torch.tensor([s.cfg_rate for s in settings], device=self.device)
        drawn = [
            self.noise.mel(seed, round(sample / mel.hop), frames, mel.n_mels)
            for seed, sample in zip(seeds, first, strict=True)
        ]
        noise = torch.from_numpy(np.stack(drawn)).to(self.device)
        style = torch.stack([prompt.style for prompt in prompts])
        if prompt_cache:
            guided = settings[0].cfg_rate > 0
            memories = [
                self._memory(prompt, s.prompt_seconds, steps, guided)
                for prompt, s in zip(prompts, settings, strict=True)
            ]
            return flow.solve_after(noise, mu, style, memories, steps, rates)
        sizes = [prompt.frames for prompt in prompts]
        whole = pad_sequence(
            [torch.cat([p.condition, row]) for p, row in zip(prompts, mu, strict=True)], batch_first=True
        )
        prompt_mel = pad_sequence([p.mel.T for p in prompts], batch_first=True).transpose(1, 2)
        start = torch.zeros(len(prompts), mel.n_mels, whole.shape[1], device=self.device)
        for i, size in enumerate(sizes):
            start[i, :, size : size + frames] = noise[i]
        lens = torch.tensor(sizes, device=self.device)
        out = flow.solve(start, prompt_mel, whole, style, lens + frames, steps, rates, lens)
        return torch.stack([out[i, :, size : size + frames] for i, size in enumerate(sizes)])

    def _memory(self, prompt: Prompt, seconds: float, steps: int, guided: bool) -> Memories:
        key = (id(prompt), seconds, steps, guided)
        kept = self._memories.get(key)
        if kept is not None and kept[0] is prompt:
            self._memories.move_to_end(key)
            return kept[1]
        memory = self.networks.flow.remember(
            prompt.mel[None], prompt.condition[None], prompt.style[None], steps, guided
        )
        self._memories[key] = (prompt, memory)
        if len(self._memories) > _KEPT_MEMORIES:
            self._memories.popitem(last=False)
        return memory


def shift_pitch(
    pitch: np.ndarray[tuple[int, ...], np.dtype[np.float64]], settings: SeedVCSettings, prompt: Prompt
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Source pitch (T,), Hz, moved to the reference's median and by the semitones set; 0 stays 0."""
    voiced = pitch > 1
    factor = 2.0 ** (settings.pitch_shift / 12)
    if settings.auto_f0 and voiced.any() and prompt.median_f0 > 0:
        factor *= prompt.median_f0 / float(np.median(pitch[voiced]))
    return np.where(voiced, pitch * factor, pitch)
