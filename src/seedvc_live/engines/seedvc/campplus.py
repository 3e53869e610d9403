"""CAM++ speaker encoder: fbank in, 192-wide speaker embedding out.

H. Wang et al., "CAM++: A Fast and Efficient Network for Speaker Verification Using Context-Aware
Masking", Interspeech 2023. Parameter names are those of the published `campplus_cn_common.bin`.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seedvc_live.errors import ModelFileError

EMBEDDING_SIZE = 192
_SEGMENT = 100
"""Frames in one segment of the context mask's local average."""


def _norm_relu(channels: int) -> nn.Sequential:
    return nn.Sequential(OrderedDict(batchnorm=nn.BatchNorm1d(channels), relu=nn.ReLU()))


class _ResidualBlock(nn.Module):
    """Two 3×3 convolutions over (bins, frames); the stride acts on the bins only."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, stride=(stride, 1), padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shortcut = nn.Sequential()
        if stride != 1:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels, channels, 1, stride=(stride, 1), bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class _Head(nn.Module):
    """(batch, 80, frames) → (batch, 320, frames): local time-frequency patterns, bins reduced by 8."""

    def __init__(self, channels: int = 32) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.layer1 = nn.Sequential(_ResidualBlock(channels, 2), _ResidualBlock(channels, 1))
        self.layer2 = nn.Sequential(_ResidualBlock(channels, 2), _ResidualBlock(channels, 1))
        self.conv2 = nn.Conv2d(channels, channels, 3, stride=(2, 1), padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x.unsqueeze(1))))
        y = F.relu(self.bn2(self.conv2(self.layer2(self.layer1(y)))))
        return y.flatten(1, 2)


class _ContextMask(nn.Module):
    """Dilated convolution, gated by the mean over all frames plus the mean over a frame's segment."""

    def __init__(self, channels: int, growth: int, dilation: int) -> None:
        super().__init__()
        self.linear_local = nn.Conv1d(channels, growth, 3, padding=dilation, dilation=dilation, bias=False)
        self.linear1 = nn.Conv1d(channels, channels // 2, 1)
        self.linear2 = nn.Conv1d(channels // 2, growth, 1)

    def forward(self, x: Tensor) -> Tensor:
        segments = F.avg_pool1d(x, _SEGMENT, stride=_SEGMENT, ceil_mode=True)
        local = segments.repeat_interleave(_SEGMENT, dim=-1)[..., : x.shape[-1]]
        mask = torch.sigmoid(self.linear2(F.relu(self.linear1(x.mean(-1, keepdim=True) + local))))
        return self.linear_local(x) * mask


class _DenseLayer(nn.Module):
    def __init__(self, channels: int, growth: int, dilation: int, bottleneck: int = 128) -> None:
        super().__init__()
        self.nonlinear1 = _norm_relu(channels)
        self.linear1 = nn.Conv1d(channels, bottleneck, 1, bias=False)
        self.nonlinear2 = _norm_relu(bottleneck)
        self.cam_layer = _ContextMask(bottleneck, growth, dilation)

    def forward(self, x: Tensor) -> Tensor:
        y = self.cam_layer(self.nonlinear2(self.linear1(self.nonlinear1(x))))
        return torch.cat([x, y], dim=1)


class _Tdnn(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Conv1d(inputs, outputs, 5, stride=2, padding=2, bias=False)
        self.nonlinear = _norm_relu(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.nonlinear(self.linear(x))


class _Transit(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.nonlinear = _norm_relu(channels)
        self.linear = nn.Conv1d(channels, channels // 2, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.nonlinear(x))


class _Dense(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Conv1d(inputs, outputs, 1, bias=False)
        self.nonlinear = nn.Sequential(OrderedDict(batchnorm=nn.BatchNorm1d(outputs, affine=False)))

    def forward(self, x: Tensor) -> Tensor:
        return self.nonlinear(self.linear(x.unsqueeze(-1)).squeeze(-1))


class CAMPPlus(nn.Module):
    """Speaker encoder.

    `forward` takes the fbank, shape (batch, frames, 80), with its mean over time removed, and gives the
    embedding, shape (batch, 192), not normalised.
    """

    def __init__(self, growth: int = 32) -> None:
        super().__init__()
        self.head = _Head()
        channels = 128
        layers: OrderedDict[str, nn.Module] = OrderedDict(tdnn=_Tdnn(320, channels))
        for number, (depth, dilation) in enumerate(((12, 1), (24, 2), (16, 2)), start=1):
            block: OrderedDict[str, nn.Module] = OrderedDict()
            for index in range(1, depth + 1):
                block[f"tdnnd{index}"] = _DenseLayer(channels, growth, dilation)
                channels += growth
            layers[f"block{number}"] = nn.Sequential(block)
            layers[f"transit{number}"] = _Transit(channels)
            channels //= 2
        layers["out_nonlinear"] = _norm_relu(channels)
        self.xvector = nn.Sequential(layers)
        self.dense = _Dense(2 * channels, EMBEDDING_SIZE)

    def frames(self, fbank: Tensor) -> Tensor:
        """Frame-level features, shape (batch, 512, ceil(frames / 2)), before the pooling over time."""
        features: Tensor = self.xvector(self.head(fbank.transpose(1, 2)))
        return features

    def forward(self, fbank: Tensor) -> Tensor:
        x = self.frames(fbank)
        mean = x.mean(-1, keepdim=True)
        deviation = ((x - mean).square().sum(-1) / (x.shape[-1] - 1)).sqrt()
        embedding: Tensor = self.dense(torch.cat([mean.squeeze(-1), deviation], dim=1))
        return embedding


def load_campplus(path: Path) -> CAMPPlus:
    """The published checkpoint, in evaluation mode.

    Raises:
        ModelFileError: the file is missing, or its layout is another.
    """
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
        model = CAMPPlus()
        model.load_state_dict({name.replace("xvector.dense.", "dense."): w for name, w in weights.items()})
    except (OSError, RuntimeError, AttributeError) as error:
        reason = str(error).splitlines()[0]
        raise ModelFileError(f"not a CAMPPlus checkpoint: {path} ({reason})") from None
    return model.eval()
