"""Trainable low-rank corrections beside packed weights, and a backward pass that needs no float weights.

Autograd would keep the widened weights of every layer until the backward pass: the float model, after all. Here the
product with packed weights keeps nothing but them, and widens one layer's again when its gradient is asked for.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from methods._techniques.int8 import Int8Linear
from methods._techniques.packed import Packed, PackedLinear, unpack

Quantised = PackedLinear | Int8Linear


def widened(layer: Quantised) -> Tensor:
    """The weights, float32 (out, in), that the layer's bits stand for."""
    if isinstance(layer, Int8Linear):
        return layer.weight.float() * layer.scale.float()[:, None]
    return unpack(Packed(layer.bits, layer.rows, layer.low, layer.high, layer.grid)).values


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: Quantised, *packed: Tensor) -> Tensor:
        ctx.save_for_backward(*packed)
        ctx.layer = layer
        return layer(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        return grad @ widened(ctx.layer).to(grad.dtype), None, *(None for _ in ctx.saved_tensors)


def quantised_product(layer: Quantised, x: Tensor) -> Tensor:
    """layer(x), whose backward pass keeps the packed tensors alone."""
    if torch.is_grad_enabled() and x.requires_grad:
        return _Product.apply(x, layer, *(tensor for tensor in layer.buffers() if tensor is not None))  # type: ignore[no-any-return]
    return layer(x)  # type: ignore[no-any-return]


class ThroughPacked(nn.Module):
    """A quantised layer as it is, trained through."""

    def __init__(self, base: Quantised) -> None:
        super().__init__()
        self.base = base

    def forward(self, x: Tensor) -> Tensor:
        return quantised_product(self.base, x)


class CorrectedLinear(nn.Module):
    """y = W x + bias + (alpha / rank) up (down x), W in packed bits. down: (rank, in), up: (out, rank)."""

    def __init__(self, base: Quantised, down: Tensor, alpha: float) -> None:
        super().__init__()
        self.base = base
        self.scaling = alpha / len(down)
        self.down = nn.Parameter(down)
        self.up = nn.Parameter(down.new_zeros(base.out_features, len(down)))

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., in) -> (..., out)."""
        low = functional.linear(x, self.down)
        return quantised_product(self.base, x) + self.scaling * functional.linear(low, self.up)


def add_corrections(model: Any, names: Sequence[str], rank: int, alpha: float, dtype: torch.dtype, seed: int) -> None:
    """Put a correction beside each of these quantised layers, in place; nothing else of the model is trained.

    They start at zero: `down` is drawn from the seed as LoRA's is (uniform within 1 / sqrt(in)), `up` is zero.
    """
    model.requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    for name in names:
        layer = model.get_submodule(name)
        bound = 1 / math.sqrt(layer.in_features)
        down = (torch.rand(rank, layer.in_features, generator=generator) * 2 - 1) * bound
        device = next(layer.buffers()).device
        model.set_submodule(name, CorrectedLinear(layer, down.to(device, dtype), alpha))
