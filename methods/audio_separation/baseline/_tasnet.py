"""Conv-TasNet's masks (Luo and Mesgarani, 2019): a stack of dilated depth-wise convolutions."""

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from methods.audio_separation._masking import MaskedSeparator


class CumulativeNorm(nn.Module):
    """Over all channels of a frame and of those before it (cLN): (n, channels, frames)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels, 1)), nn.Parameter(torch.zeros(channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        count = torch.arange(1, x.shape[-1] + 1, device=x.device) * x.shape[1]
        mean = x.sum(1).cumsum(-1) / count
        square = x.square().sum(1).cumsum(-1) / count
        spread = (square - mean.square() + 1e-8).clamp(min=1e-8).sqrt()
        return (x - mean[:, None]) / spread[:, None] * self.weight + self.bias


def norm_of(channels: int, causal: bool) -> nn.Module:
    return CumulativeNorm(channels) if causal else nn.GroupNorm(1, channels, eps=1e-8)


class ConvBlock(nn.Module):
    """What goes on to the next block (nothing from the last), and what is added up in the end: (n, narrow, frames)."""

    def __init__(self, narrow: int, wide: int, dilation: int, causal: bool, last: bool) -> None:
        super().__init__()
        self.reach = (2 * dilation, 0) if causal else (dilation, dilation)
        self.widen = nn.Sequential(nn.Conv1d(narrow, wide, 1), nn.PReLU(), norm_of(wide, causal))
        self.near = nn.Conv1d(wide, wide, 3, dilation=dilation, groups=wide)
        self.settle = nn.Sequential(nn.PReLU(), norm_of(wide, causal))
        self.on = None if last else nn.Conv1d(wide, narrow, 1)
        self.skip = nn.Conv1d(wide, narrow, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.settle(self.near(pad(self.widen(x), self.reach)))
        return x if self.on is None else x + self.on(hidden), self.skip(hidden)


class ConvMasks(nn.Module):
    """Masks (n, 2, filters, frames) in 0..1 of frames (n, filters, frames). narrow: channels between the blocks, wide:
    within them; dilations 1, 2, ... 2^(blocks - 1), `repeats` times."""

    def __init__(self, filters: int, narrow: int, wide: int, blocks: int, repeats: int, causal: bool) -> None:
        super().__init__()
        self.enter = nn.Sequential(norm_of(filters, causal), nn.Conv1d(filters, narrow, 1))
        dilations = [2**number for _ in range(repeats) for number in range(blocks)]
        self.blocks = nn.ModuleList(
            ConvBlock(narrow, wide, dilation, causal, last=number == len(dilations) - 1)
            for number, dilation in enumerate(dilations)
        )
        self.leave = nn.Sequential(nn.PReLU(), nn.Conv1d(narrow, 2 * filters, 1), nn.Sigmoid())

    def forward(self, frames: Tensor) -> Tensor:
        x = self.enter(frames)
        total = torch.zeros_like(x)
        for block in self.blocks:
            x, skipped = block(x)
            total = total + skipped
        masks: Tensor = self.leave(total)
        return masks.unflatten(1, (2, -1))


def conv_tasnet(width: int, blocks: int, repeats: int, length: int, causal: bool = False) -> MaskedSeparator:
    """The proportions of the paper's best: four times the width for filters and within the blocks."""
    return MaskedSeparator(ConvMasks(4 * width, width, 4 * width, blocks, repeats, causal), 4 * width, length)
