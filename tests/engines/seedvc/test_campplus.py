"""CAM++ against recorded numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

DATA = Path(__file__).parents[2] / "data"


@pytest.mark.parametrize("name", ["s2p1", "source_s2"])
def test_fbank(name: str) -> None:
    from seedvc_live.engines.nano.speaker import fbank

    with np.load(DATA / f"campplus_{name}.npz") as file:
        samples, expected = file["wav_i16"].astype(np.float32) / 32768, file["fbank"]
    difference = fbank(samples) - (expected - expected.mean(0))
    assert np.abs(difference).max() < 2e-2
    assert np.sqrt(np.mean(difference**2)) < 3e-4


@pytest.mark.parametrize("name", ["s2p1", "source_s2"])
def test_bundled_speaker_encoder(name: str) -> None:
    """The network in the package, its weights rounded to float16, against the published one's numbers."""
    from seedvc_live.engines.nano.networks import WEIGHTS, open_session

    with np.load(DATA / f"campplus_{name}.npz") as file:
        bank, expected = file["fbank"], file["embedding"][0]
    session = open_session(WEIGHTS / "speaker.onnx")
    embedding = session.run(["embedding"], {"fbank": (bank - bank.mean(0))[None].astype(np.float32)})[0][0]
    assert embedding @ expected / np.linalg.norm(embedding) / np.linalg.norm(expected) > 0.9999


@pytest.mark.torch
def test_layout_and_masking_in_torch() -> None:
    """Padding the batch does not change the shape rules, and segments cover ragged lengths."""
    import torch

    from seedvc_live.engines.seedvc.campplus import CAMPPlus

    torch.manual_seed(0)
    model = CAMPPlus().eval()
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(6.9e6, rel=0.05)
    with torch.no_grad():
        for frames in (98, 100, 199, 350):
            assert model.frames(torch.randn(2, frames, 80)).shape == (2, 512, (frames + 1) // 2)
            assert model(torch.randn(2, frames, 80)).shape == (2, 192)


@pytest.mark.torch
def test_damaged_checkpoint(tmp_path: Path) -> None:
    import torch

    from seedvc_live.engines.seedvc.campplus import load_campplus
    from seedvc_live.errors import ModelFileError

    torch.save({"head.conv1.weight": torch.zeros(1)}, tmp_path / "bad.bin")
    for path in (tmp_path / "bad.bin", tmp_path / "missing.bin"):
        with pytest.raises(ModelFileError) as caught:
            load_campplus(path)
        assert "\n" not in str(caught.value)
