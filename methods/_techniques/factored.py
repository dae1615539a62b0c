"""A linear layer as the product of two thin ones, and a copy of a model with some of its layers written so."""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

Ranks = Mapping[str, int]
"""Dotted name of a linear layer -> its rank. Layers that are not named stay dense."""


class FactoredLinear(nn.Module):
    """y = up (down x) + bias; down: (rank, in), up: (out, rank), bias: (out,)."""

    def __init__(self, up: Tensor, down: Tensor, bias: Tensor | None = None) -> None:
        super().__init__()
        self.in_features, self.out_features, self.rank = down.shape[1], len(up), len(down)
        self.down = linear(down)
        self.up = linear(up, bias)

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., in) -> (..., out)."""
        result: Tensor = self.up(self.down(x))
        return result


def linear(weight: Tensor, bias: Tensor | None = None) -> nn.Linear:
    """A linear layer that owns these tensors; weight: (out, in), bias: (out,)."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    layer.weight = nn.Parameter(weight.contiguous(), requires_grad=False)
    if bias is not None:
        layer.bias = nn.Parameter(bias, requires_grad=False)
    return layer.eval()


def highest_saving_rank(shape: tuple[int, int]) -> int:
    """The largest rank whose two factors hold fewer numbers than the matrix (out, in) itself; 0 if none does."""
    out, inner = shape
    return (out * inner - 1) // (out + inner)


def svd(matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Thin singular value decomposition U, S, V^T, in at least 32 bits; S falls."""
    wide = matrix.detach() if matrix.dtype == torch.float64 else matrix.detach().float()
    return torch.linalg.svd(wide, full_matrices=False)


def truncated(layer: Any, rank: int) -> FactoredLinear:
    """The layer with its nearest matrix of this rank (Eckart and Young, 1936): squared error = sum of the squared
    singular values that were dropped. Each factor takes the root of the values, so that both train at one pace."""
    left, values, right = svd(layer.weight)
    root = values[:rank].sqrt()
    dtype = layer.weight.dtype
    return FactoredLinear((left[:, :rank] * root).to(dtype), (root[:, None] * right[:rank]).to(dtype), _bias(layer))


def projected(layer: Any, basis: Tensor) -> FactoredLinear:
    """The layer with its outputs projected on these orthonormal columns, basis: (out, rank). The bias is kept whole."""
    weight = layer.weight.detach()
    down = basis.T @ weight.to(basis.dtype)
    return FactoredLinear(basis.to(weight.dtype), down.to(weight.dtype), _bias(layer))


def hollow(layer: Any, rank: int) -> FactoredLinear:
    """Factors of the right shape that say nothing: for weighing, without the cost of a decomposition."""
    empty = layer.weight.detach().new_zeros
    return FactoredLinear(empty(layer.out_features, rank), empty(rank, layer.in_features), _bias(layer))


def with_layers(model: Any, layers: Mapping[str, nn.Module], *, share_weights: bool = False) -> Any:
    """A copy of `model` in which these modules stand at these dotted names; what they replace is never copied.

    share_weights: the copy uses the model's own tensors; for weighing. Otherwise it owns its weights, and none of them
    asks for a gradient. `model` is left unchanged.
    """
    shared = model.parameters() if share_weights else _parameters(model, layers)
    candidate = copy.deepcopy(model, {id(tensor): tensor for tensor in shared})
    for name, layer in layers.items():
        candidate.set_submodule(name, layer)
    return candidate.eval() if share_weights else candidate.eval().requires_grad_(False)


def shapes(model: Any, names: Iterator[str] | list[str]) -> dict[str, tuple[int, int]]:
    """(out, in) of these linear layers."""
    return {name: tuple(model.get_submodule(name).weight.shape) for name in names}


def _parameters(model: Any, names: Mapping[str, nn.Module]) -> Iterator[Tensor]:
    for name in names:
        yield from model.get_submodule(name).parameters()


def _bias(layer: Any) -> Tensor | None:
    return None if layer.bias is None else layer.bias.detach().clone()
