"""Layers as products of two thin ones, all at the same share of their numbers."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from methods._techniques.factored import svd
from methods.vision_compression._folding import folded
from methods.vision_compression._layers import Layer, with_layers
from methods.vision_compression._limits import largest_share
from suites.vision_compression.task import CompressionTask


class Factored(nn.Module):
    """y = up (down x): two linear layers, or a convolution of few filters and one of a pixel that mixes them. The bias
    is up's."""

    def __init__(self, layer: Layer, down: Tensor, up: Tensor) -> None:
        """down: (rank, all that an output reads). up: (outputs, rank)."""
        super().__init__()
        rank, outputs = len(down), len(up)
        self.down: Layer
        self.up: Layer
        if isinstance(layer, nn.Conv2d):
            options = {name: getattr(layer, name) for name in ("stride", "padding", "dilation")}
            self.down = nn.Conv2d(layer.in_channels, rank, layer.kernel_size, bias=False, **options)  # type: ignore[arg-type]
            self.up = nn.Conv2d(rank, outputs, 1, bias=layer.bias is not None)
        else:
            self.down = nn.Linear(layer.in_features, rank, bias=False)
            self.up = nn.Linear(rank, outputs, bias=layer.bias is not None)
        with torch.no_grad():
            self.down.weight.copy_(down.view_as(self.down.weight))
            self.up.weight.copy_(up.view_as(self.up.weight))
            if layer.bias is not None and self.up.bias is not None:
                self.up.bias.copy_(layer.bias)
        self.to(layer.weight.device)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.up(self.down(inputs))

    def product(self) -> Tensor:
        """up down: (outputs, all that an output reads)."""
        return self.up.weight.flatten(1) @ self.down.weight.flatten(1)


def rank_at(weight: Tensor, share: float) -> int:
    """The rank at which the factors hold that share of the numbers; one at the least."""
    outputs, inputs = weight.flatten(1).shape
    return max(1, int(share * outputs * inputs / (outputs + inputs)))


def truncated(layer: Layer, rank: int) -> Factored:
    """By singular values, each factor with their roots: the nearest of that rank."""
    left, values, right = svd(layer.weight.flatten(1))
    root = values[:rank].sqrt()
    return Factored(layer, root[:, None] * right[:rank], left[:, :rank] * root)


def hollow(layer: Layer, rank: int) -> Factored:
    """As large, and without a decomposition: for weighing."""
    outputs, inputs = layer.weight.flatten(1).shape
    return Factored(layer, layer.weight.new_zeros(rank, inputs), layer.weight.new_zeros(outputs, rank))


def fitting_share(task: CompressionTask, names: Iterable[str]) -> float:
    """Of the numbers of these layers, the most that the limits leave."""
    return largest_share(task, lambda share: _hollowed(task.model, names, share))


def unmet(task: CompressionTask, names: Iterable[str]) -> str | None:
    """Why not even rank one meets the limits, or None."""
    return task.still_over(_hollowed(task.model, names, 0.0), "every layer that is factored at rank 1")


def factored(model: nn.Module, names: Iterable[str], share: float) -> nn.Module:
    """A copy with these layers factored, all of whose weights train."""
    found: dict[str, Any] = {name: model.get_submodule(name) for name in names}
    thin = {name: truncated(layer, rank_at(layer.weight, share)) for name, layer in found.items()}
    return with_layers(model, thin).requires_grad_(True)


def _hollowed(model: nn.Module, names: Iterable[str], share: float) -> nn.Module:
    found: dict[str, Any] = {name: model.get_submodule(name) for name in names}
    return folded(with_layers(model, {name: hollow(each, rank_at(each.weight, share)) for name, each in found.items()}))
