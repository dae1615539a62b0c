"""The convolution-linked signal transformer (Hou et al., 2023), as we read it; https://arxiv.org/abs/2312.17446.

It stands here and not among the methods because the teacher that students learn from is one, and is trained once.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

KERNEL = 3
"""Of the convolutional projection."""


class ConvolutionalProjection(nn.Module):
    """Queries, keys or values (n, width, tokens) of tokens (n, width, tokens): a convolution along time in each channel
    by itself, then a linear map of the channels. With a kernel of 1 it is a linear map alone."""

    def __init__(self, width: int, kernel: int = KERNEL) -> None:
        super().__init__()
        self.depthwise = nn.Sequential()
        if kernel > 1:
            self.depthwise = nn.Sequential(
                nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width, bias=False), nn.BatchNorm1d(width)
            )
        self.pointwise = nn.Conv1d(width, width, 1, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        out: Tensor = self.pointwise(self.depthwise(tokens))
        return out


class ParallelAttention(nn.Module):
    """Spatial and channel attention side by side, of the same queries, keys and values (n, width, tokens).

    Spatial: each token sees all tokens, in every head by itself. Channel: each channel of a head sees the head's other
    channels, by how alike they run along time. The two are added, and a linear map follows. spatial, channel: whether
    they are there.
    """

    def __init__(
        self, width: int, heads: int, kernel: int = KERNEL, spatial: bool = True, channel: bool = True
    ) -> None:
        super().__init__()
        if width % heads or not (spatial or channel):
            raise ValueError(f"{heads} heads of {width} channels, spatial {spatial}, channel {channel}")
        self.heads, self.spatial, self.channel = heads, spatial, channel
        self.query, self.key, self.value = (ConvolutionalProjection(width, kernel) for _ in range(3))
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1)) if channel else None
        self.project = nn.Conv1d(width, width, 1)

    def forward(self, tokens: Tensor) -> Tensor:
        n, width, length = tokens.shape
        # Heads of (n, heads, channels of a head, tokens).
        query, key, value = (
            each(tokens).view(n, self.heads, width // self.heads, length) for each in (self.query, self.key, self.value)
        )
        mixed = torch.zeros((), device=tokens.device)
        if self.spatial:
            # Contiguous, as the fused kernels want it.
            rows = (each.transpose(-1, -2).contiguous() for each in (query, key, value))
            mixed = mixed + scaled_dot_product_attention(*rows).transpose(-1, -2)
        if self.temperature is not None:
            alike = nn.functional.normalize(query, dim=-1) @ nn.functional.normalize(key, dim=-1).transpose(-1, -2)
            mixed = mixed + (alike * self.temperature).softmax(-1) @ value
        out: Tensor = self.project(mixed.reshape(n, width, length))
        return out


class Block(nn.Module):
    """Attention, then two layers on each token, each behind a norm and beside a shortcut."""

    def __init__(self, width: int, attention: ParallelAttention, expansion: int = 2) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.GroupNorm(1, width) for _ in range(2))
        self.attention = attention
        self.feed = nn.Sequential(
            nn.Conv1d(width, expansion * width, 1), nn.GELU(), nn.Conv1d(expansion * width, width, 1)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.attention(self.norms[0](tokens))
        out: Tensor = tokens + self.feed(self.norms[1](tokens))
        return out


class ClST(nn.Module):
    """A hierarchy of stages: a convolution along time makes fewer and wider tokens, blocks of attention mix them. The
    mean of the last stage's tokens is classified. Signals (n, 2, samples) give logits (n, classes).

    width: of the first stage, a multiple of 4; the second has twice, the third three times that. blocks: of each stage.
    kernel, spatial, channel: of the attention.
    """

    def __init__(
        self,
        classes: int,
        width: int,
        blocks: Sequence[int] = (1, 1, 1),
        kernel: int = KERNEL,
        spatial: bool = True,
        channel: bool = True,
    ) -> None:
        super().__init__()
        stages, before = [], 2
        for number, count in enumerate(blocks):
            after = width * (number + 1)
            size, stride = (7, 2) if number == 0 else (3, 2)
            stages += [
                nn.Conv1d(before, after, size, stride, size // 2, bias=False),
                nn.BatchNorm1d(after),
                nn.GELU(),
                *(
                    Block(after, ParallelAttention(after, 2 * (number + 1), kernel, spatial, channel))
                    for _ in range(count)
                ),
            ]
            before = after
        self.stages = nn.Sequential(*stages)
        self.head = nn.Linear(before, classes)

    def forward(self, signals: Tensor) -> Tensor:
        out: Tensor = self.head(self.stages(signals).mean(-1))
        return out
