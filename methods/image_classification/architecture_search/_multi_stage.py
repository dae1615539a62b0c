"""A Vision Transformer of several stages, each at half the resolution of the one before, in any sizes."""

from itertools import pairwise

import torch
from timm.layers.attention import Attention
from timm.layers.mlp import Mlp
from timm.layers.weight_init import trunc_normal_
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, pad

from methods.image_classification.architecture_search._space import Shape
from suites._vision.models import PATCH
from suites._vision.models import stem as convolutions

_SPREAD = 0.02
"""Standard deviation of what is new: positions, class tokens, linear layers."""


class Block(nn.Module):
    """Attention and an MLP, whose sizes do not hang on the width of a token."""

    def __init__(self, width: int, heads: int, head_size: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads, attn_head_dim=head_size, qkv_bias=True)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width, hidden)

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.attn(self.norm1(tokens))
        found: Tensor = tokens + self.mlp(self.norm2(tokens))
        return found


class SpatialReduction(nn.Module):
    """Halves the map of (n, 1 + side * side, width) tokens and widens them. The first token stands for the class.

    A convolution of the normed map with positions, and past it the mean of four tokens as they were, filled up with
    zeros; the class token goes through a linear layer, and past it.
    """

    def __init__(self, width: int, wider: int, side: int) -> None:
        super().__init__()
        self.side = side
        self.norm = nn.LayerNorm(width)
        self.conv = nn.Conv2d(width, wider, 3, stride=2, padding=1)
        self.position = nn.Parameter(torch.zeros(1, wider, side // 2, side // 2))
        self.token = nn.Linear(width, wider)

    def forward(self, tokens: Tensor) -> Tensor:
        normed = self.norm(tokens)
        reduced = self.conv(self._map(normed)) + self.position
        changed = torch.cat([self.token(normed[:, :1]), reduced.flatten(2).transpose(1, 2)], dim=1)
        pooled = avg_pool2d(self._map(tokens), 2).flatten(2).transpose(1, 2)
        kept = torch.cat([tokens[:, :1], pooled], dim=1)
        return changed + pad(kept, (0, changed.shape[-1] - kept.shape[-1]))

    def _map(self, tokens: Tensor) -> Tensor:
        return tokens[:, 1:].transpose(1, 2).unflatten(2, (self.side, self.side))


class MultiStageViT(nn.Module):
    """shape: its sizes. head_size: numbers of a head. size: pixels of a side of an image. The tokens of the first stage
    come from the stem of the suite's ViT. The mean of the last stage's tokens is classified, the class token among
    them."""

    def __init__(self, shape: Shape, head_size: int, classes: int, size: int) -> None:
        super().__init__()
        side, width = size // PATCH, shape[0].width
        self.stem = convolutions(width)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.position = nn.Parameter(torch.zeros(1, 1 + side * side, width))
        self.stages = nn.ModuleList(
            nn.Sequential(*(Block(stage.width, heads, head_size, hidden) for heads, hidden in stage.blocks))
            for stage in shape
        )
        widths = [stage.width for stage in shape]
        self.reductions = nn.ModuleList(
            SpatialReduction(width, wider, side >> number) for number, (width, wider) in enumerate(pairwise(widths))
        )
        self.norm = nn.LayerNorm(widths[-1])
        self.head = nn.Linear(widths[-1], classes)
        self.apply(_start)

    def forward(self, inputs: Tensor) -> Tensor:
        patches = self.stem(inputs).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(len(inputs), -1, -1), patches], dim=1) + self.position
        for number, stage in enumerate(self.stages):
            if number:
                tokens = self.reductions[number - 1](tokens)
            tokens = stage(tokens)
        logits: Tensor = self.head(self.norm(tokens).mean(1))
        return logits


def multiply_adds(shape: Shape, head_size: int, classes: int, size: int) -> int:
    """Of an image in such a net: what its products take."""
    side, width = size // PATCH, shape[0].width
    half = width // 2
    stem = 4 * 9 * half * (3 + half) + 9 * half * width + width**2
    total = side**2 * stem + shape[-1].width * classes
    for number, stage in enumerate(shape):
        if number:
            side //= 2
            total += (9 * side**2 + 1) * shape[number - 1].width * stage.width
        tokens = 1 + side**2
        for heads, hidden in stage.blocks:
            total += tokens * 2 * (heads * head_size * (2 * stage.width + tokens) + stage.width * hidden)
    return total


def _start(module: nn.Module) -> None:
    for name in ("position", "token"):
        if isinstance(weight := getattr(module, name, None), nn.Parameter):
            trunc_normal_(weight, std=_SPREAD)
    if isinstance(module, nn.Linear):
        trunc_normal_(module.weight, std=_SPREAD)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
