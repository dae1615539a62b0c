"""The product B diag(weights) A x of which each token takes a few ranks only, and only those are computed."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag
from torch.utils.flop_counter import register_flop_formula


def selected_update(x: Tensor, a: Tensor, b: Tensor, ranks: Tensor, weights: Tensor) -> Tensor:
    """Sum over a token's ranks j of weights_j b_j (a_j x): (tokens, outputs).

    x: (tokens, inputs). a: (rank, inputs). b: (rank, outputs). ranks: distinct indices of a token's ranks, (tokens,
    active). weights: (tokens, active). All but the ranks in one of float32 and float64, for which PyTorch has the
    product.
    """
    found: Tensor = _Selected.apply(x, a, b, ranks, weights)  # type: ignore[no-untyped-call]
    return found


class _Selected(torch.autograd.Function):
    """By hand, as the kernels below have no gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, a: Tensor, b: Tensor, ranks: Tensor, weights: Tensor) -> Tensor:
        inner = dot_rows(x, a, ranks)
        ctx.save_for_backward(x, a, b, ranks, weights, inner)
        return sum_rows(inner * weights, b, ranks)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None, Tensor]:
        x, a, b, ranks, weights, inner = ctx.saved_tensors
        (gradient,) = gradients
        scaled = dot_rows(gradient, b, ranks)
        to_inner = scaled * weights
        to_a = _spread(to_inner, ranks, len(a)).T @ x
        to_b = _spread(inner * weights, ranks, len(b)).T @ gradient
        return sum_rows(to_inner, a, ranks), to_a, to_b, None, scaled * inner


# PyTorch's kernels for both read the taken rows where they lie; to gather them first takes ten to twenty times as long.
# They are operators of our own for the count of FLOPs, which has no formula for either.


def _dot_rows(x: Tensor, rows: Tensor, ranks: Tensor) -> Tensor:
    tokens, active = ranks.shape
    starts = torch.arange(0, tokens * active + 1, active, device=x.device)
    zeros = x.new_zeros(ranks.numel())
    wanted = torch.sparse_csr_tensor(starts, ranks.flatten(), zeros, (tokens, len(rows)), check_invariants=False)
    return torch.sparse.sampled_addmm(wanted, x, rows.T, beta=0.0).values().view(ranks.shape)


def _sum_rows(values: Tensor, rows: Tensor, ranks: Tensor) -> Tensor:
    return embedding_bag(ranks, rows, per_sample_weights=values, mode="sum")


_library = torch.library.Library("effbench", "FRAGMENT")
_library.define("dot_rows(Tensor x, Tensor rows, Tensor ranks) -> Tensor")
_library.define("sum_rows(Tensor values, Tensor rows, Tensor ranks) -> Tensor")
_library.impl("dot_rows", _dot_rows, "CompositeExplicitAutograd")
_library.impl("sum_rows", _sum_rows, "CompositeExplicitAutograd")


def dot_rows(x: Tensor, rows: Tensor, ranks: Tensor) -> Tensor:
    """Of each token with its rows: (tokens, active)."""
    found: Tensor = torch.ops.effbench.dot_rows(x, rows, ranks)
    return found


def sum_rows(values: Tensor, rows: Tensor, ranks: Tensor) -> Tensor:
    """Sum of each token's rows, times the values: (tokens, width)."""
    found: Tensor = torch.ops.effbench.sum_rows(values, rows, ranks)
    return found


@register_flop_formula([torch.ops.effbench.dot_rows, torch.ops.effbench.sum_rows])
def _flops(_: Any, rows: Any, ranks: Any, **__: Any) -> int:
    return 2 * int(ranks[0]) * int(ranks[1]) * int(rows[1])


def _spread(values: Tensor, ranks: Tensor, count: int) -> Tensor:
    """The values in the places of their ranks, zero elsewhere: (tokens, count)."""
    return values.new_zeros(len(values), count).scatter(1, ranks, values)
