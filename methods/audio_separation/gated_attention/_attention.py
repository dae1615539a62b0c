"""MossFormer's block: one-headed gated attention, exact within groups of frames and linear over all of them.

The attention is that of FLASH (Hua et al., 2022), applied to both gates (Zhao and Ma, 2023).
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

ROTATED = 32
"""Of the numbers of a query or key, those that its place turns."""


class ScaleNorm(nn.Module):
    """To a root mean square of one over the channels, times one trained number."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        return x / x.square().mean(-1, keepdim=True).sqrt().clamp(min=1e-5) * self.gain


class ConvolvedLinear(nn.Module):
    """Norm, linear, SiLU, and a depth-wise convolution of 17 frames beside it: (n, frames, inputs) -> outputs."""

    def __init__(self, inputs: int, outputs: int, norm: nn.Module, kernel: int = 17) -> None:
        super().__init__()
        self.norm, self.linear = norm, nn.Linear(inputs, outputs)
        self.near = nn.Conv1d(outputs, outputs, kernel, padding=kernel // 2, groups=outputs, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        hidden = nn.functional.silu(self.linear(self.norm(x)))
        return hidden + self.near(hidden.transpose(1, 2)).transpose(1, 2)


class GatedAttention(nn.Module):
    """x + out((A u * v) sigmoid(A v * u)), where u and v have twice the width, and A attends (see `attend`).

    group: frames that attend exactly to each other. size: numbers of a query.
    """

    def __init__(self, width: int, group: int, size: int) -> None:
        super().__init__()
        self.group = group
        self.hidden = ConvolvedLinear(width, 4 * width, ScaleNorm())
        self.shared = ConvolvedLinear(width, size, ScaleNorm())
        self.scale = nn.Parameter(0.02 * torch.randn(4, size))
        self.offset = nn.Parameter(torch.zeros(4, size))
        self.out = ConvolvedLinear(2 * width, width, ScaleNorm())

    def forward(self, x: Tensor) -> Tensor:
        """(n, frames, width), as it comes out."""
        shifted = shift_half(x)
        v, u = self.hidden(shifted).chunk(2, dim=-1)
        shared = self.shared(shifted)
        near_q, far_q, near_k, far_k = (rotated(shared * a + b) for a, b in zip(self.scale, self.offset, strict=True))
        mixed = attend(near_q, near_k, far_q, far_k, torch.cat([v, u], -1), self.group)
        attended_v, attended_u = mixed.chunk(2, dim=-1)
        return x + self.out((attended_u * v) * (attended_v * u).sigmoid())


def shift_half(x: Tensor) -> Tensor:
    """The first half of the channels, one frame later: (n, frames, width)."""
    late, rest = x.chunk(2, dim=-1)
    return torch.cat([pad(late, (0, 0, 1, -1)), rest], -1)


def attend(near_q: Tensor, near_k: Tensor, far_q: Tensor, far_k: Tensor, values: Tensor, group: int) -> Tensor:
    """relu(q k / group)^2 v within each group of frames, and q (k v) / frames over all. Queries and keys (n, frames,
    size), values (n, frames, numbers)."""
    frames = values.shape[1]
    far = far_q @ (far_k.transpose(1, 2) @ values) / frames
    # Frames of zeros fill the last group: a weight of theirs is zero, and so is their value.
    near_q, near_k, grouped = (
        pad(each, (0, 0, 0, -frames % group)).unflatten(1, (-1, group)) for each in (near_q, near_k, values)
    )
    weights = (near_q @ near_k.transpose(-1, -2) / group).relu().square()
    return (weights @ grouped).flatten(1, 2)[:, :frames] + far


def rotated(x: Tensor) -> Tensor:
    """Rotary positions (Su et al., 2021) on the first numbers of each query or key, pair by pair: (n, frames, size)."""
    size = min(ROTATED, x.shape[-1])
    rates = 10_000 ** (-torch.arange(0, size, 2, device=x.device) / size)
    angles = torch.arange(x.shape[1], device=x.device)[:, None] * rates
    even, odd = x[..., 0:size:2], x[..., 1:size:2]
    turned = torch.stack([even * angles.cos() - odd * angles.sin(), odd * angles.cos() + even * angles.sin()], -1)
    return torch.cat([turned.flatten(-2), x[..., size:]], -1)
