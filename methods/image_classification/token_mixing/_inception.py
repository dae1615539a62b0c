"""iFormer's mixer and the transformer of it: channels in a part for high frequencies and one for low ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from timm.layers.attention import Attention
from timm.layers.layer_scale import LayerScale
from timm.layers.mlp import Mlp
from timm.layers.weight_init import trunc_normal_
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate


@dataclass(frozen=True)
class Stage:
    """Blocks at one size of the map. width: channels. low: of each block, how many of the heads are for low
    frequencies. pool: they see the map so many times smaller. scale: layer scale at the start, None for none."""

    width: int
    heads: int
    low: tuple[int, ...]
    pool: int = 1
    scale: float | None = None


class HighMixer(nn.Module):
    """Maps (n, channels, h, w) to twice the channels: half of them through a depth-wise convolution, half through a
    max-pool."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        pooled = channels // 2
        self.sizes = [channels - pooled, pooled]
        wide = 2 * self.sizes[0]
        self.convolution = nn.Sequential(
            nn.Conv2d(self.sizes[0], wide, 1, bias=False),
            nn.Conv2d(wide, wide, 3, padding=1, groups=wide, bias=False),
            nn.GELU(),
        )
        self.pooling = nn.Sequential(nn.MaxPool2d(3, 1, 1), nn.Conv2d(pooled, 2 * pooled, 1), nn.GELU())

    def forward(self, inputs: Tensor) -> Tensor:
        first, second = inputs.split(self.sizes, dim=1)
        return torch.cat([self.convolution(first), self.pooling(second)], dim=1)


class LowMixer(nn.Module):
    """Attention among all cells of a smaller map, which is then as large as before."""

    def __init__(self, channels: int, heads: int, pool: int) -> None:
        super().__init__()
        self.pool = pool
        self.attention = Attention(channels, heads, qkv_bias=True)
        self.attention.register_module("proj", nn.Identity())  # the mixer projects high and low together

    def forward(self, inputs: Tensor) -> Tensor:
        small = inputs
        if self.pool > 1:
            small = avg_pool2d(inputs, self.pool, ceil_mode=True, count_include_pad=False)
        mixed = self.attention(small.flatten(2).transpose(1, 2))
        mixed = mixed.transpose(1, 2).unflatten(2, small.shape[2:])
        return interpolate(mixed, size=inputs.shape[2:]) if self.pool > 1 else mixed


class InceptionMixer(nn.Module):
    """The first channels are mixed with those near, the last `low` of `heads` heads with all."""

    def __init__(self, width: int, heads: int, low: int, pool: int) -> None:
        super().__init__()
        self.sizes = [width - low * width // heads, low * width // heads]
        self.high = HighMixer(self.sizes[0]) if low < heads else None
        self.low = LowMixer(self.sizes[1], low, pool) if low else None
        mixed = 2 * self.sizes[0] + self.sizes[1]
        self.fuse = nn.Conv2d(mixed, mixed, 3, padding=1, groups=mixed, bias=False)
        self.project = nn.Conv2d(mixed, width, 1)

    def mixed(self, inputs: Tensor) -> Tensor:
        """Twice the channels of high frequencies, then those of low ones."""
        high, low = inputs.split(self.sizes, dim=1)
        parts = [self.high(high)] if self.high is not None else []
        parts += [self.low(low)] if self.low is not None else []
        return torch.cat(parts, dim=1)

    def forward(self, inputs: Tensor) -> Tensor:
        """Maps (n, width, h, w)."""
        mixed = self.mixed(inputs)
        out: Tensor = self.project(mixed + self.fuse(mixed))
        return out


class Block(nn.Module):
    """Mixer and MLP of maps (n, h, w, width), each behind a norm and with a way around."""

    def __init__(self, stage: Stage, low: int) -> None:
        super().__init__()
        width = stage.width
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.mixer = InceptionMixer(width, stage.heads, low, stage.pool)
        self.mlp = Mlp(width, 4 * width)
        scale = stage.scale
        self.scale1 = nn.Identity() if scale is None else LayerScale(width, scale)
        self.scale2 = nn.Identity() if scale is None else LayerScale(width, scale)

    def forward(self, inputs: Tensor) -> Tensor:
        mixed = self.mixer(self.norm1(inputs).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        between = inputs + self.scale1(mixed)
        out: Tensor = between + self.scale2(self.mlp(self.norm2(between)))
        return out


class Blocks(nn.Module):
    """One stage. shrink: makes its map of the one before; side: of the map."""

    def __init__(self, stage: Stage, shrink: nn.Module, side: int) -> None:
        super().__init__()
        self.shrink = shrink
        self.position = nn.Parameter(trunc_normal_(torch.empty(1, side, side, stage.width), std=0.02))
        self.blocks = nn.Sequential(*[Block(stage, low) for low in stage.low])

    def forward(self, inputs: Tensor) -> Tensor:
        """Maps (n, channels, h, w), before and after."""
        found: Tensor = self.blocks(self.shrink(inputs).permute(0, 2, 3, 1) + self.position)
        return found.permute(0, 3, 1, 2)


class InceptionTransformer(nn.Module):
    """stem: strides of its two convolutions. Every further stage halves the map."""

    def __init__(self, classes: int, size: int, stages: Sequence[Stage], stem: tuple[int, int] = (2, 2)) -> None:
        super().__init__()
        first = stages[0].width
        shrink: nn.Module = nn.Sequential(_convolution(3, first // 2, stem[0]), nn.GELU(),
                                          _convolution(first // 2, first, stem[1]))  # fmt: skip
        side = size // (stem[0] * stem[1])
        found = [Blocks(stages[0], shrink, side)]
        for before, stage in pairwise(stages):
            side //= 2
            found.append(Blocks(stage, _convolution(before.width, stage.width, 2), side))
        self.stages = nn.Sequential(*found)
        self.norm = nn.LayerNorm(stages[-1].width, eps=1e-6)
        self.head = nn.Linear(stages[-1].width, classes)

    def forward(self, inputs: Tensor) -> Tensor:
        cells = self.stages(inputs).flatten(2).transpose(1, 2)
        out: Tensor = self.head(self.norm(cells).mean(1))
        return out


def _convolution(before: int, after: int, stride: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(before, after, 3, stride, 1), nn.BatchNorm2d(after))
