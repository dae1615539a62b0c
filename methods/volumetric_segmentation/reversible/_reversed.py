"""A stage that keeps its outcome alone: what went into it is found again, block by block, when gradients are asked."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from methods.volumetric_segmentation._network import Coupling, Stage


class ReversibleStage(Stage):
    """The same stage, by `RunReversed`."""

    def forward(self, x: Tensor) -> Tensor:
        return RunReversed.apply(self.blocks, x, *self.blocks.parameters())


class RunReversed(torch.autograd.Function):
    """A row of couplings. Forward, nothing of their inside is kept. Backward, from the last to the first: what G and F
    were given is computed from what the block gave, their inside is computed once more, one of the two at a time, and
    differentiated.

    The blocks must compute the same whenever they are asked: no dropout, no running statistics.
    """

    @staticmethod
    def forward(ctx: Any, blocks: nn.ModuleList, x: Tensor, *weights: Tensor) -> Tensor:
        # A part of a tensor that asks for a gradient would ask for one too, and have no way to it.
        halves = x.detach().chunk(2, 1)
        for block in blocks:
            halves = block(*halves)
        y = torch.cat(halves, 1)
        ctx.blocks = blocks
        ctx.save_for_backward(y)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Any, ...]:
        y1, y2 = ctx.saved_tensors[0].detach().chunk(2, 1)
        d1, d2 = upstream.chunk(2, 1)
        found: list[tuple[Tensor, ...]] = []
        for block in reversed(ctx.blocks):
            y1, y2, d1, d2, of_weights = undone(block, y1, y2, d1, d2)
            found.append(of_weights)
        return None, torch.cat([d1, d2], 1), *(each for of_block in reversed(found) for each in of_block)


def undone(
    block: Coupling, y1: Tensor, y2: Tensor, d1: Tensor, d2: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, tuple[Tensor, ...]]:
    """What the block was given, the gradients for it, and those for its weights, of what it gave and the gradients
    for that."""
    x2, to_y1, of_g = _branch(block.g, y1, y2, d2)
    d1 = d1 + to_y1
    x1, to_x2, of_f = _branch(block.f, x2, y1, d1)
    return x1, x2, d1, d2 + to_x2, (*of_f, *of_g)


def _branch(branch: nn.Module, given: Tensor, total: Tensor, upstream: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
    """total - branch(given), and the gradients for `given` and for the branch's weights."""
    given = given.detach().requires_grad_()
    with torch.enable_grad():
        # A view: PyTorch's counter of FLOPs watches what modules are given, and can't where that is a leaf.
        added = branch(given.view_as(given))
    to_given, *of_weights = torch.autograd.grad(added, [given, *branch.parameters()], upstream)
    return total - added.detach(), to_given, of_weights
