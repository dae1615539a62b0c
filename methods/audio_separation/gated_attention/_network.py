"""The mask network of both MossFormers, with the recurrent module or without."""

import torch
from torch import Tensor, nn

from methods.audio_separation._masking import MaskedSeparator
from methods.audio_separation.gated_attention._attention import GatedAttention
from methods.audio_separation.gated_attention._memory import GatedMemory

NARROWEST = 8
"""Channels; an even number of them, as half are shifted."""


class Positions(nn.Module):
    """Sines and cosines of the place, times a trained number: (frames, width)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width, self.scale = width, nn.Parameter(torch.ones(1))

    def forward(self, frames: int) -> Tensor:
        rates = 10_000 ** (-torch.arange(0, self.width, 2, device=self.scale.device) / self.width)
        angles = torch.arange(frames, device=self.scale.device)[:, None] * rates
        return torch.cat([angles.sin(), angles.cos()], -1) * self.scale


class GatedMasks(nn.Module):
    """Masks (n, 2, filters, frames), none negative, of frames (n, filters, frames).

    width: channels within. blocks: of attention. memory: whether each has the gated memory behind it, of half the
    width. group, size: as of GatedAttention.
    """

    def __init__(self, filters: int, width: int, blocks: int, *, memory: bool, group: int, size: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, filters, eps=1e-8)
        self.enter = nn.Conv1d(filters, width, 1, bias=False)
        self.positions = Positions(width)
        layers: list[nn.Module] = []
        for _ in range(blocks):
            layers.append(GatedAttention(width, group, size))
            if memory:
                layers.append(GatedMemory(width, width // 2))
        self.blocks = nn.Sequential(*layers, nn.LayerNorm(width, eps=1e-6))
        self.after = nn.GroupNorm(1, width, eps=1e-8)
        self.speakers = nn.Sequential(nn.PReLU(), nn.Conv1d(width, 2 * width, 1))
        self.value = nn.Sequential(nn.Conv1d(width, width, 1), nn.Tanh())
        self.gate = nn.Sequential(nn.Conv1d(width, width, 1), nn.Sigmoid())
        self.leave = nn.Conv1d(width, filters, 1, bias=False)

    def forward(self, frames: Tensor) -> Tensor:
        entered = self.enter(self.norm(frames)) + self.positions(frames.shape[-1]).t()
        mixed = self.after(self.blocks(entered.transpose(1, 2)).transpose(1, 2)) + entered
        each = self.speakers(mixed).unflatten(1, (2, -1)).flatten(0, 1)
        masks: Tensor = self.leave(self.value(each) * self.gate(each)).relu()
        return masks.unflatten(0, (-1, 2))


def gated_separator(width: int, blocks: int, *, memory: bool, group: int, size: int, length: int) -> MaskedSeparator:
    """Twice as many filters as channels."""
    masks = GatedMasks(2 * width, width, blocks, memory=memory, group=group, size=size)
    return MaskedSeparator(masks, 2 * width, length)
