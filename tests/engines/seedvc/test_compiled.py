"""torch.compile around the transformer: the same numbers, few shapes."""

from __future__ import annotations

import shutil
from typing import Any

import pytest
import torch

from seedvc_live.engines.seedvc import compiled
from seedvc_live.engines.seedvc.compiled import compile_transformer
from seedvc_live.engines.seedvc.engine import SeedVCEngine
from seedvc_live.engines.seedvc.precision import product_type
from seedvc_live.errors import EngineError

from .build import small_networks
from .test_engine import BATCH, SHORT, engine_of, error, replace_settings, voice_of, windows_of

pytestmark = pytest.mark.torch
MODEL = "whisper-small"


@pytest.fixture(autouse=True)
def _forget_compiled() -> Any:
    yield
    torch._dynamo.reset()


def both_ways(engine: SeedVCEngine) -> None:
    """With and without remembered prompts: near what the uncompiled engine gives."""
    windows = windows_of(MODEL, [SHORT] * 3, [voice_of(MODEL, seconds) for seconds in (3.5, 1.3, 3.5)])
    for cached in (False, True):
        plain = SeedVCEngine(engine_of(MODEL).networks, prompt_cache=cached)
        engine.prompt_cache = cached
        for block, window in zip(engine.convert(windows), windows, strict=True):
            assert error(block.samples, plain.convert([window])[0].samples) <= BATCH


def test_dynamo_follows_the_transformer_in_one_graph() -> None:
    networks = small_networks(MODEL)
    compile_transformer(networks.flow.estimator, backend="aot_eager", fullgraph=True)
    engine = SeedVCEngine(networks, max_batch=2)
    both_ways(engine)


def test_batches_are_filled_up_to_powers_of_two() -> None:
    networks, sizes = small_networks(MODEL), []
    engine = SeedVCEngine(networks, max_batch=8)
    engine.compiled = True  # without compiling: only the sizes matter
    generate = engine.generate

    def spy(mu: Any, *rest: Any) -> Any:
        sizes.append(len(mu))
        return generate(mu, *rest)

    engine.generate = spy  # type: ignore[method-assign]
    windows = windows_of(MODEL, [SHORT] * 3, [voice_of(MODEL, 3.5)] * 3)
    assert [block.start for block in engine.convert(windows)] == [window.start for window in windows]
    engine.convert(windows[:1])
    assert sizes == [4, 1]


def test_more_shapes_than_torch_compiles_run_uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "MAX_SHAPES", 1)
    networks = small_networks(MODEL)
    calls = []

    def compile(function: Any, **options: Any) -> Any:
        def run(*values: Any) -> Any:
            calls.append(values[0].shape)
            return function(*values)

        return run

    monkeypatch.setattr(torch, "compile", compile)
    engine = SeedVCEngine(networks, compiled=True)
    voice = voice_of(MODEL, 3.5)
    for settings in (SHORT, replace_settings(SHORT, block=0.3), SHORT):
        engine.convert(windows_of(MODEL, [settings], [voice]))
    assert len(set(calls)) == 1
    assert len(calls) == 2 * SHORT.diffusion_steps


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")  # the compiler's own
def test_compiled_code_gives_the_same(capfd: pytest.CaptureFixture[str]) -> None:
    if shutil.which("g++") is None:
        pytest.skip("torch.compile needs a C++ compiler")
    engine = SeedVCEngine(small_networks(MODEL), compiled=True, max_batch=1)
    engine.warm_up()
    both_ways(engine)


def test_precision_follows_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert product_type(None, cpu) is torch.float32
    for supported, kind in ((True, torch.bfloat16), (False, torch.float16)):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda supported=supported: supported)
        assert product_type(None, gpu) is kind
    assert product_type("fp16", cpu) is torch.float16
    with pytest.raises(EngineError, match="int8"):
        product_type("int8", cpu)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_the_vocoder_stays_in_float32(precision: str) -> None:
    networks = small_networks(MODEL)
    SeedVCEngine(networks, precision=precision)  # type: ignore[arg-type]
    kinds = {name: value.dtype for name, value in networks.flow.state_dict().items()}
    lowered = {name for name, kind in kinds.items() if kind in (torch.bfloat16, torch.float16)}
    assert any("attention.wqkv" in name for name in lowered)
    assert not any("norm" in name for name in lowered)
    vocoder: Any = networks.vocoder
    assert {value.dtype for value in vocoder.network.parameters()} == {torch.float32}
