"""Mean and variance of what flows into linear layers, over calibration text."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn


class Moments:
    """Running mean and variance per channel, in float64; merges batches as Chan, Golub and LeVeque (1983) do.

    Sums of numbers of 16 or 32 bits are exact in float64, so a channel that never moves has variance 0.
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean = torch.zeros((), dtype=torch.float64)
        self._squares = torch.zeros((), dtype=torch.float64)

    def add(self, x: Tensor) -> None:
        """Take in x (..., channels)."""
        x = x.detach().reshape(-1, x.shape[-1]).double()
        mean = x.mean(0)
        merged = self.count + len(x)
        shift = mean - self.mean.to(mean)
        self._squares = self._squares.to(mean) + (x - mean).square().sum(0)
        self._squares += shift.square() * (self.count * len(x) / merged)
        self.mean = self.mean.to(mean) + shift * (len(x) / merged)
        self.count = merged

    @property
    def variance(self) -> Tensor:
        """Population variance (channels,)."""
        return self._squares / self.count


@torch.no_grad()
def input_moments(model: Any, linears: Sequence[nn.Module], windows: Tensor, batch: int = 8) -> list[Moments]:
    """Moments of the inputs of these layers over windows (count, length), in their order. The model is left unchanged.

    Only the decoder runs: the logits are not needed, and cost a fifth of a small model's forward.
    """
    moments = [Moments() for _ in linears]

    def hook(moment: Moments) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        return lambda module, inputs: moment.add(inputs[0])

    with ExitStack() as stack:
        for linear, moment in zip(linears, moments, strict=True):
            stack.callback(linear.register_forward_pre_hook(hook(moment)).remove)
        for ids in windows.split(batch):
            model.get_decoder()(input_ids=ids, use_cache=False)
    return moments
