"""The product B diag(weights) A x of which each token takes a few ranks only, and only those are computed."""

from typing import Any

import torch
from torch import Tensor

CHUNK = 512
"""Tokens whose ranks are gathered at a time: what bounds the memory."""


def selected_update(x: Tensor, a: Tensor, b: Tensor, ranks: Tensor, weights: Tensor) -> Tensor:
    """Sum over a token's ranks j of weights_j b_j (a_j x): (tokens, outputs).

    x: (tokens, inputs). a: (rank, inputs). b: (rank, outputs). ranks: distinct indices of a token's ranks, (tokens,
    active). weights: (tokens, active).
    """
    found: Tensor = _Selected.apply(x, a, b, ranks, weights)  # type: ignore[no-untyped-call]
    return found


class _Selected(torch.autograd.Function):
    """By hand, as the rows that are gathered need not be kept for the way back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, a: Tensor, b: Tensor, ranks: Tensor, weights: Tensor) -> Tensor:
        inner = _dot(x, a, ranks)
        ctx.save_for_backward(x, a, b, ranks, weights, inner)
        return _combine(inner * weights, b, ranks)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None, Tensor]:
        x, a, b, ranks, weights, inner = ctx.saved_tensors
        (gradient,) = gradients
        scaled = _dot(gradient, b, ranks)
        to_inner = scaled * weights
        to_a = _spread(to_inner, ranks, len(a)).T @ x
        to_b = _spread(inner * weights, ranks, len(b)).T @ gradient
        return _combine(to_inner, a, ranks), to_a, to_b, None, scaled * inner


def _dot(x: Tensor, rows: Tensor, ranks: Tensor) -> Tensor:
    """Of each token with its rows: (tokens, active)."""
    parts = zip(x.split(CHUNK), ranks.split(CHUNK), strict=True)
    return torch.cat([torch.bmm(rows[chosen], part[:, :, None])[:, :, 0] for part, chosen in parts])


def _combine(values: Tensor, rows: Tensor, ranks: Tensor) -> Tensor:
    """Sum of each token's rows, times the values: (tokens, width)."""
    parts = zip(values.split(CHUNK), ranks.split(CHUNK), strict=True)
    return torch.cat([torch.bmm(part[:, None, :], rows[chosen])[:, 0] for part, chosen in parts])


def _spread(values: Tensor, ranks: Tensor, count: int) -> Tensor:
    """The values in the places of their ranks, zero elsewhere: (tokens, count)."""
    return values.new_zeros(len(values), count).scatter(1, ranks, values)
