"""Norms of a stream whose mean is zero, and a tied head on it.

A vector of d numbers with mean zero is known by its first d - 1: the last is minus their sum. "Compressed" means that
only those are there.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, rms_norm


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + eps), without a scale: LayerNorm, where the mean is zero and the scale stands elsewhere."""

    def __init__(self, eps: float) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """(..., hidden), the same shape out."""
        return rms_norm(x, x.shape[-1:], eps=self.eps)


class CRMSNorm(nn.Module):
    """RMSNorm of the d numbers, given and giving the first d - 1 (Jiang et al., 2023).

    The sums are taken in one pass over x, as products with x and with ones, in float32 at least.
    """

    def __init__(self, eps: float) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """(..., d - 1), the same shape out."""
        wide = x if x.dtype == torch.float64 else x.float()
        last = wide.sum(-1, keepdim=True)
        squares = torch.linalg.vector_norm(wide, dim=-1, keepdim=True).square() + last.square()
        return (wide * torch.rsqrt(squares / (x.shape[-1] + 1) + self.eps)).to(x.dtype)


class CentredHead(nn.Module):
    """Logits by a table whose rows were centred for their other use as embeddings.

    It takes what the last norm gives without its scale and shift, and applies these. With E the dense table, m its row
    means and E' = E - m 1^T: E y = E' y + m sum(y), and since rows of E' sum to zero,
    E' y = E'[:, :-1] (y[:-1] - y[-1]).
    weight: E' (vocabulary, d), or compressed (vocabulary, d - 1); means: (vocabulary,); scale, shift: (d,).
    """

    def __init__(self, weight: nn.Parameter, means: Tensor, scale: Tensor, shift: Tensor) -> None:
        super().__init__()
        self.weight, self.means = weight, nn.Parameter(means, requires_grad=False)
        self.scale, self.shift = nn.Parameter(scale, requires_grad=False), nn.Parameter(shift, requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """(..., d), or compressed (..., d - 1), in; (..., vocabulary) out."""
        compressed = x.shape[-1] < len(self.scale)
        if compressed:
            x = torch.cat([x, -x.sum(-1, keepdim=True)], -1)
        y = torch.addcmul(self.shift, self.scale, x)
        total = y.sum(-1, keepdim=True)
        if compressed:
            y = y[..., :-1] - y[..., -1:]
        return torch.addcmul(linear(y, self.weight), total, self.means)
