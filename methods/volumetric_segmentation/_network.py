"""The 3D U-Net of all methods of the suite: mobile inverted bottlenecks in coupled pairs, at each resolution a stage.

What differs between methods is what a stage keeps for its backward pass, not what it computes.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from suites.volumetric_segmentation.data import CHANNELS
from suites.volumetric_segmentation.regions import CLASSES

LEVELS = 3
EXPANSION = 2
"""Channels within a bottleneck, times those that go in. MobileNetV2 has 6, which on a CPU leaves few steps."""


def norm(channels: int) -> nn.GroupNorm:
    """Over groups of four channels where that comes out even, else over all. It has no running statistics: a block may
    be run once more, and nothing is counted twice."""
    return nn.GroupNorm(1 if channels % 4 else channels // 4, channels)


def halves(channels: int) -> tuple[int, int]:
    """Of an odd number the first is the larger."""
    return channels - channels // 2, channels // 2


class Bottleneck(nn.Sequential):
    """Mobile inverted bottleneck of MobileNetV2 (Sandler et al., 2018) in 3D, without its shortcut: 1x1x1 to EXPANSION
    times the channels, depth-wise 3x3x3, and 1x1x1, which is linear, to those that it is added to."""

    def __init__(self, channels: int, added_to: int) -> None:
        wide = EXPANSION * channels
        super().__init__(
            *(nn.Conv3d(channels, wide, 1, bias=False), norm(wide), nn.SiLU()),
            *(nn.Conv3d(wide, wide, 3, padding=1, groups=wide, bias=False), norm(wide), nn.SiLU()),
            *(nn.Conv3d(wide, added_to, 1, bias=False), norm(added_to)),
        )


class Coupling(nn.Module):
    """y1 = x1 + F(x2), y2 = x2 + G(y1), of the two halves of the channels (Gomez et al., 2017)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        first, second = halves(channels)
        self.f, self.g = Bottleneck(second, first), Bottleneck(first, second)

    def forward(self, x1: Tensor, x2: Tensor) -> tuple[Tensor, Tensor]:
        y1 = x1 + self.f(x2)
        return y1, x2 + self.g(y1)

    def inverse(self, y1: Tensor, y2: Tensor) -> tuple[Tensor, Tensor]:
        """What it was given, up to rounding."""
        x2 = y2 - self.g(y1)
        return y1 - self.f(x2), x2


class Stage(nn.Module):
    """Couplings in a row, over (n, channels, ...). This one keeps what PyTorch keeps."""

    def __init__(self, channels: int, blocks: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Coupling(channels) for _ in range(blocks))

    def forward(self, x: Tensor) -> Tensor:
        x1, x2 = x.chunk(2, 1)
        for block in self.blocks:
            x1, x2 = block(x1, x2)
        return torch.cat([x1, x2], 1)


class UNet(nn.Module):
    """(n, 4, depth, height, width) float32 to logits (n, 4, depth, height, width), each side a multiple of 4.

    width: channels at full resolution, two or more; twice as many at each of the levels below. blocks: of each stage.
    What goes across is added to what comes up, for which nothing has to be kept.
    """

    def __init__(self, width: int, blocks: int, stage: Callable[[int, int], nn.Module] = Stage) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(LEVELS)]
        self.stem = nn.Conv3d(CHANNELS, width, 1)
        self.down = nn.ModuleList(stage(each, blocks) for each in widths)
        self.shrink = nn.ModuleList(nn.Conv3d(each, 2 * each, 2, stride=2) for each in widths[:-1])
        self.grow = nn.ModuleList(nn.Conv3d(2 * each, each, 1) for each in widths[:-1])
        self.up = nn.ModuleList(stage(each, blocks) for each in widths[:-1])
        self.head = nn.Sequential(norm(width), nn.Conv3d(width, CLASSES, 1))
        self.to(memory_format=torch.channels_last_3d)  # depth-wise kernels of a CPU are a quarter faster so

    def forward(self, inputs: Tensor) -> Tensor:
        x = self.stem(inputs)
        across = []
        for down, shrink in zip(self.down[:-1], self.shrink, strict=True):
            across.append(down(x))
            x = shrink(across[-1])
        x = self.down[-1](x)
        for grow, up in zip(reversed(self.grow), reversed(self.up), strict=True):
            x = nn.functional.interpolate(grow(x), scale_factor=2)
            x = up(x + across.pop())
        return self.head(x)
