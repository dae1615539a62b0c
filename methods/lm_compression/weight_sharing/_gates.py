"""A learnable gate on each block of a decoder: how much of the block's update the model cannot do without.

The gates of all blocks are learned together, so that each is judged by what the others leave it to do: two blocks of
which either one can go, but not both, do not both get a closed gate.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from methods.lm_compression._recovery import next_token_loss
from suites._training.fit import fit

EPSILON = (0.1, 1e-3)
"""Softness of the gates at the first and at the last step; in between it falls geometrically."""


class Gates(nn.Module):
    """One parameter per block; gate = theta^2 / (theta^2 + epsilon), in [0, 1). progress: share of the learning done.

    With epsilon going to zero a gate is driven to one of its ends: its slope is steep near theta = 0 alone, and a block
    whose theta fell there is closed, while the others hardly notice epsilon.
    """

    def __init__(self, count: int, device: Any) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.ones(count, device=device))
        self.progress = 0.0

    @property
    def epsilon(self) -> float:
        start, end = EPSILON
        return start * (end / start) ** self.progress

    def forward(self) -> Tensor:
        """All gates: float32 (blocks,)."""
        square = self.theta.square()
        return square / (square + self.epsilon)


@contextmanager
def gated(model: Any, gates: Gates) -> Iterator[None]:
    """While it lasts, each block of `model` gives x + gate (block(x) - x) in place of block(x)."""

    def hook(index: int) -> Any:
        def scale(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            return torch.lerp(inputs[0], output, gates()[index].to(output.dtype))

        return scale

    handles = [block.register_forward_hook(hook(index)) for index, block in enumerate(model.get_decoder().layers)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def learn_gates(
    model: Any, batches: Iterable[Tensor], *, kept: float, penalty: float, learning_rate: float
) -> list[float]:
    """The learned theta^2 of each block of `model`, which orders its blocks by importance.

    batches: token ids (batch, length). kept: the share of the blocks' compute that may stay. penalty: weight, at the
    last step, of what the gates' mean has above it; the rest of the loss is that of the next token. The weight rises
    from zero in a line, so that gates close in the order of what their blocks are worth by then, and not all at once.
    The model's weights stay as they are.
    """
    steps = list(batches)
    gates = Gates(len(model.get_decoder().layers), model.device)
    wanted = [parameter for parameter in model.parameters() if parameter.requires_grad]
    model.requires_grad_(False)

    def loss(ids: Tensor) -> Tensor:
        return next_token_loss(model, ids) + penalty * gates.progress * (gates().mean() - kept).clamp_min(0)

    def harden(step: int) -> None:
        gates.progress = (step + 1) / len(steps)

    try:
        with gated(model, gates):
            fit(gates, steps, loss, learning_rate=learning_rate, after_update=harden)
    finally:
        for parameter in wanted:
            parameter.requires_grad_(True)
    return gates.theta.detach().square().tolist()
