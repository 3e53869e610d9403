"""Torch modules to ONNX files: float16 initializers (a Cast to float32 follows each: ORT folds it), or 8 bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from safetensors.torch import save_file
from torch import nn


def store_half(model: onnx.ModelProto, smallest: int = 256) -> None:
    """Replace float32 initializers of at least `smallest` values by float16 ones, each with a Cast."""
    graph = model.graph
    casts = []
    for tensor in list(graph.initializer):
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < smallest:
            continue
        half = numpy_helper.to_array(tensor).astype(np.float16)
        if not np.isfinite(half).all():
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(half, name + "_f16"))
        casts.append(helper.make_node("Cast", [name + "_f16"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def export(
    module: nn.Module,
    example: tuple[torch.Tensor, ...],
    path: Path,
    inputs: list[str],
    outputs: list[str],
    dynamic: dict[str, dict[int, str]],
    half: bool = True,
) -> None:
    """Write `module`, traced on `example`, to `path`; `half` as `store_half` does."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(), example, str(path), input_names=inputs, output_names=outputs,
            dynamic_axes=dynamic, opset_version=17, dynamo=False,
        )  # fmt: skip
    model = onnx.load(str(path))
    if half:
        store_half(model)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def export_content(hearing: nn.Module, path: Path) -> None:
    """Inputs `mel` (1, 80, 2 × steps + 7), `positions` (steps, 384), `past` (LAYERS, 2, 1, m, 384); outputs `content`
    (1, steps, 384), `gain` (1, 2 × steps, GAIN_BANDS), `present` (LAYERS, 2, 1, steps, 384). See `nano.encoder`.

    Matrix products in 8 bits, weights per output channel, activations scaled as they come: 2.4 times as fast
    (docs/models.md). Weights keep to 7 of the 8 bits, since machines without VNNI would saturate on the eighth,
    and hear something else.
    """
    from seedvc_live.engines.nano import encoder

    steps = 6
    example = (
        torch.zeros(1, 80, encoder.frames(steps)), torch.zeros(steps, encoder.WIDTH),
        torch.zeros(encoder.LAYERS, 2, 1, 10, encoder.WIDTH),
    )  # fmt: skip
    dynamic = {
        "mel": {2: "frames"}, "positions": {0: "steps"}, "past": {3: "past_steps"}, "content": {1: "steps"},
        "gain": {1: "points"}, "present": {3: "steps"},
    }  # fmt: skip
    export(hearing, example, path, ["mel", "positions", "past"], ["content", "gain", "present"], dynamic, half=False)
    quantize_dynamic(
        str(path), str(path), op_types_to_quantize=["MatMul"], per_channel=True, reduce_range=True,
        weight_type=QuantType.QInt8,
    )  # fmt: skip
    model = onnx.load(str(path))
    store_half(model)
    onnx.save(model, str(path))


def exported_content(path: Path) -> dict[str, np.ndarray]:
    """Weights that `export_content` wrote, by the names they had, float32: to go on from where no others are kept."""
    graph = onnx.load(str(path)).graph
    stored = {tensor.name.removesuffix("_f16"): numpy_helper.to_array(tensor) for tensor in graph.initializer}
    weights = {name: array.astype(np.float32) for name, array in stored.items() if array.dtype == np.float16}
    weights |= {name: array for name, array in stored.items() if array.dtype == np.float32}
    for node in graph.node:
        if node.op_type == "MatMulInteger":
            name = node.input[1].removesuffix("_quantized")
            # The graph knows modules by the calls that led to them, the bias by its whole name.
            called = node.name.removeprefix("/").rsplit("/", 1)[0].replace("/", ".")
            (module,) = (key.removesuffix(".bias") for key in weights if f".{key}".endswith(f".{called}.bias"))
            whole = stored[name + "_quantized"].astype(np.float32) - stored[name + "_zero_point"].astype(np.float32)
            weights[module + ".weight"] = (whole * weights[name + "_scale"]).T.copy()
    return weights


def export_speaker(encoder: nn.Module, path: Path) -> None:
    """Speaker encoder: `fbank` (batch, frames, 80), mean removed → `embedding` (batch, 192)."""
    dynamic = {"fbank": {0: "batch", 1: "frames"}, "embedding": {0: "batch"}}
    export(encoder, (torch.zeros(2, 298, 80),), path, ["fbank"], ["embedding"], dynamic)


class _Live(nn.Module):
    """The decoder, without the corrections that only fill its memory."""

    def __init__(self, decoder: nn.Module) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, rows: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.decoder(rows, condition, valid=True)
        return out


def export_decoder(decoder: nn.Module, path: Path) -> None:
    """`rows` (batch, HISTORY + steps, WIDTH), `condition` → `correction` (batch, steps, 2, 2, BANDS)."""
    from seedvc_live.engines.nano import frames
    from training.model import CONDITION, HISTORY

    example = (torch.zeros(2, HISTORY + 8, frames.WIDTH), torch.zeros(2, CONDITION))
    dynamic = {
        "rows": {0: "batch", 1: "rows"},
        "condition": {0: "batch"},
        "correction": {0: "batch", 1: "steps"},
    }
    export(_Live(decoder), example, path, ["rows", "condition"], ["correction"], dynamic)


def export_run(run: Path, out: Path, checkpoint: Path | None = None, state: str = "last.pt") -> None:
    """The averaged weights of a run: `decoder.onnx` and `constants.npz`.

    Args:
        checkpoint: also write the weights alone there (float16), from which another run can start.
        state: which of the run's checkpoints.
    """
    from seedvc_live.engines.nano import engine
    from training.model import HISTORY
    from training.train import Model

    if engine.HISTORY != HISTORY:
        raise ValueError(f"the engine remembers {engine.HISTORY} steps, the decoder needs {HISTORY}")
    model = Model()
    model.load_state_dict(torch.load(run / state, weights_only=True)["average"])
    model.eval()
    out.mkdir(parents=True, exist_ok=True)
    export_decoder(model.decoder, out / "decoder.onnx")
    with np.load(run / "constants.npz") as file:
        constants = {name: file[name] for name in file.files}
    linear = model.bottleneck.linear
    constants["bottleneck_weight"] = linear.weight.detach().numpy().T.copy()
    constants["bottleneck_bias"] = linear.bias.detach().numpy()
    np.savez(out / "constants.npz", **constants)
    if checkpoint is not None:
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: tensor.half().contiguous() for name, tensor in model.state_dict().items()}, checkpoint)
