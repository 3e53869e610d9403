"""The transformer and the solver against recorded numbers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from seedvc_live.engines.seedvc.cfm import FlowMatching
from seedvc_live.engines.seedvc.transformer import Block, normalise

from .conftest import assert_near, load
from .nets import config_of, flow_of
from .pseudo import check_crc, check_layout

pytestmark = pytest.mark.torch
ARGUMENTS = ("x", "prompt_x", "x_lens", "t", "style", "cond")
TOLERANCE = 1e-4


@pytest.mark.vector_files("*/cfm_keys.json")
def test_keys_are_the_checkpoints(file: Path) -> None:
    with torch.device("meta"):
        module = FlowMatching(config_of(file).dit)
    check_layout(module, file)


@pytest.mark.vector_files("*/cfm_crc32.json")
def test_weights_are_the_recorded_ones(file: Path) -> None:
    check_crc(flow_of(file), file)


@pytest.mark.vector_files("*/dit_a.npz")
def test_forward(file: Path) -> None:
    v = load(file)
    estimator = flow_of(file).estimator
    caught: dict[str, Any] = {}
    handles = [
        estimator.t_embedder.register_forward_hook(_catch(caught, "mid_t_emb")),
        estimator.transformer.layers[0].register_forward_hook(_catch(caught, "mid_layer0")),
        estimator.transformer.register_forward_hook(_catch(caught, "mid_transformer")),
    ]
    if "mid_wavenet" in v:
        handles.append(estimator.wavenet.register_forward_hook(_catch(caught, "mid_wavenet")))
    out = estimator(*(v[name] for name in ARGUMENTS))
    for handle in handles:
        handle.remove()
    condition = estimator.condition(v["prompt_x"].transpose(1, 2), v["style"], v["cond"])
    caught["mid_merged"] = estimator.merge(v["x"].transpose(1, 2), condition)
    for name in v:
        if name.startswith("mid_"):
            assert_near(caught[name], v[name], TOLERANCE)
    assert_near(out, v["out"], TOLERANCE)


def _catch(caught: dict[str, Any], name: str) -> Any:
    def hook(module: torch.nn.Module, inputs: Any, output: Any) -> None:
        caught[name] = output[0] if isinstance(output, tuple) else output

    return hook


@pytest.mark.vector_files("*/dit_b_out.npz")
def test_guidance_batch(file: Path) -> None:
    v = load(file.with_name("dit_a.npz"))
    twice = {name: v[name].repeat(2, *[1] * (v[name].dim() - 1)) for name in ("x", "t")}
    zeroed = {name: torch.cat([v[name], torch.zeros_like(v[name])]) for name in ("prompt_x", "style", "cond")}
    inputs = {**v, **twice, **zeroed}
    out = flow_of(file).estimator(*(inputs[name] for name in ARGUMENTS))
    assert_near(out, load(file)["out"], TOLERANCE)


@pytest.mark.vector_files("*/dit_c_padded_batch.npz")
def test_padded_batch(file: Path) -> None:
    v = load(file)
    out = flow_of(file).estimator(*(v[name] for name in ARGUMENTS))
    assert_near(out, v["out"], TOLERANCE)


@pytest.mark.vector_files("*/dit_c_padded_batch.npz")
def test_a_padded_sample_gives_what_it_gives_alone(file: Path) -> None:
    v = load(file)
    estimator = flow_of(file).estimator
    lens = v["x_lens"]
    condition = estimator.condition(v["prompt_x"].transpose(1, 2), v["style"], v["cond"])
    both = estimator.velocity(v["x"].transpose(1, 2), condition, estimator.plan(v["t"]), lens)
    for i, n in enumerate(lens.tolist()):
        alone = estimator(
            v["x"][i : i + 1, :, :n],
            v["prompt_x"][i : i + 1, :, :n],
            lens[i : i + 1],
            v["t"][i : i + 1],
            v["style"][i : i + 1],
            v["cond"][i : i + 1, :n],
        )
        assert_near(both[i : i + 1, :n].transpose(1, 2), alone, TOLERANCE)


@pytest.mark.vector_files("*/dit_a.npz")
def test_leaving_out_frames_that_are_not_heard_changes_nothing(file: Path) -> None:
    v = load(file)
    estimator = flow_of(file).estimator
    condition = estimator.condition(v["prompt_x"].transpose(1, 2), v["style"], v["cond"])
    row = estimator.plan(v["t"])
    part = estimator.velocity(v["x"].transpose(1, 2), condition, row, v["x_lens"], heard_from=70)
    assert_near(part.transpose(1, 2), v["out"][..., 70:], TOLERANCE)


@pytest.mark.vector_files("*/cfm.npz")
def test_solver(file: Path) -> None:
    v = load(file)
    runs = [name for name in v if name.startswith("out_")]
    assert runs
    for name in runs:
        match = re.fullmatch(r"out_steps(\d+)_cfg([\d.]+)", name)
        assert match is not None
        noise = v["z"].clone()
        out = flow_of(file).solve(noise, v["prompt"], v["mu"], v["style"], v["x_lens"], int(match[1]), float(match[2]))
        assert_near(out, v[name], TOLERANCE)
        assert torch.equal(noise, v["z"])


@pytest.mark.vector_files("*/units.npz")
def test_small_amplitudes_show_the_epsilons(file: Path) -> None:
    v = load(file)
    estimator = flow_of(file).estimator
    block = estimator.transformer.layers[0]
    assert isinstance(block, Block)
    norm = block.attention_norm
    assert_near(norm(v["x"], norm.modulation(v["c"])), v["block0_attention_norm_c"], TOLERANCE)
    assert_near(norm(v["x"], norm.modulation(None)), v["block0_attention_norm_none"], TOLERANCE)
    final = estimator.transformer.norm
    assert_near(final(v["x"], final.modulation(v["c"])), v["transformer_norm"], TOLERANCE)
    assert_near(estimator.t_embedder(v["t"]), v["t_embedder"], TOLERANCE)
    if "final_layer" in v:
        layer = estimator.final_layer
        assert_near(layer(v["final_x"], layer.modulation(v["final_c"])), v["final_layer"], TOLERANCE)
        assert_near(estimator.t_embedder2(v["t"]), v["t_embedder2"], TOLERANCE)
        short = estimator.wavenet.in_layers[0](v["wn_short_x"])
        assert_near(short, v["wn_short_in_layer0"], TOLERANCE)


def test_normalise_has_unit_rms() -> None:
    x = torch.randn(3, 5, 64, generator=torch.Generator().manual_seed(0)) * 7
    rms = normalise(x).square().mean(-1).sqrt()
    torch.testing.assert_close(rms, torch.ones(3, 5), atol=1e-5, rtol=0)
