"""Which weights survive, by their scores. Ties are broken by the order of the columns, so masks are always the same."""

import torch
from torch import Tensor, nn

from methods.lm_compression.sparsity._amount import Amount, block_linears


def without_lowest(scores: Tensor, count: int) -> Tensor:
    """Bool like `scores`, False for the `count` lowest scores of the last dimension."""
    lowest = scores.argsort(dim=-1, stable=True)[..., :count]
    return torch.ones_like(scores, dtype=torch.bool).scatter_(-1, lowest, False)


def without_lowest_of_all(scores: Tensor, count: int) -> Tensor:
    """Bool like `scores`, False for the `count` lowest scores of the whole tensor."""
    return without_lowest(scores.flatten(), count).view_as(scores)


def two_of_four(scores: Tensor) -> Tensor:
    """Bool like `scores` (rows, columns), True for the two highest of every four neighbouring columns."""
    return without_lowest(scores.unflatten(1, (-1, 4)), 2).flatten(1)


def survivors(scores: Tensor, amount: Amount, block: int, *, by_row: bool) -> Tensor | None:
    """What is left of a linear layer of this block: bool (out, in), or None if nothing leaves.

    scores: (out, in). by_row: outputs lose equally many weights each, or are compared with each other.
    """
    zeros = amount.pruned(block, scores.shape[1])
    if not zeros:
        return None
    if amount.pattern == "2:4":
        return two_of_four(scores)
    return without_lowest(scores, zeros) if by_row else without_lowest_of_all(scores, zeros * len(scores))


@torch.no_grad()
def set_zeros(block: nn.Module, kept: dict[str, Tensor]) -> None:
    """Set the weights of a block's linear layers (by name) that do not survive to zero, in place."""
    linears = block_linears(block)
    for name, mask in kept.items():
        linears[name].weight.mul_(mask)


def named(prefix: str, kept: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same masks under their layers' dotted names in the model."""
    return {f"{prefix}.{name}": mask for name, mask in kept.items()}
