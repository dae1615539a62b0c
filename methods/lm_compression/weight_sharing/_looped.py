"""A decoder whose blocks are few, run in a loop, each time round with low-rank updates of its own."""

import copy
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from methods._techniques.factored import FactoredLinear, svd
from methods.lm_compression.layer_dropping._sublayers import blocks, undroppable

Initialisation = Literal["stepwise", "average", "lower"]
Adapter = Callable[[int, str, Any], nn.Module]
"""(block of the dense model, name of a linear layer in it, the layer that is looped in its place) -> the update."""


class AdaptedLinear(nn.Module):
    """y = shared(x) + update(x): a layer that other depths use too, and what this depth adds to it."""

    def __init__(self, shared: nn.Module, update: nn.Module) -> None:
        super().__init__()
        self.shared, self.update = shared, update

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., in) -> (..., out)."""
        result: Tensor = self.shared(x) + self.update(x)
        return result


def unloopable(model: Any) -> str | None:
    """Why this model's blocks can't be looped, or None if they can."""
    if reason := undroppable(model):
        return reason
    shapes = [[(name, block.get_submodule(name).weight.shape) for name in linears(block)] for block in blocks(model)]
    other = next((index for index, each in enumerate(shapes) if each != shapes[0]), None)
    return (
        None if other is None else f"block {other} has other linear layers than block 0: they can't stand for another"
    )


def tied_to(initialisation: Initialisation, count: int, unique: int) -> list[list[int]]:
    """Blocks of the dense model, of `count`, that each of the `unique` looped blocks starts from: their mean.

    "lower": the first ones. "stepwise": evenly spaced ones, the first and the last among them. "average": all that the
    block will stand for.
    """
    if initialisation == "lower":
        return [[index] for index in range(unique)]
    if initialisation == "stepwise":
        return [[round(index * (count - 1) / max(1, unique - 1))] for index in range(unique)]
    return [list(range(index, count, unique)) for index in range(unique)]


@torch.no_grad()
def mean_block(dense: Sequence[Any]) -> Any:
    """A block with the mean of these blocks' weights, in the type of their weights."""
    mean = copy.deepcopy(dense[0])
    for mine, *others in zip(mean.parameters(), *(block.parameters() for block in dense[1:]), strict=True):
        wide = torch.float64 if mine.dtype == torch.float64 else torch.float32
        mine.copy_(torch.stack([each.to(wide) for each in (mine, *others)]).mean(0))
    return mean


def looped(model: Any, unique: Sequence[Any], adapter: Adapter | None) -> Any:
    """A copy of `model` whose blocks are the `unique` ones, run one after the other until the depth is that of `model`.

    Every depth has a place of its own in the KV cache. With an adapter it also has an update of its own on every linear
    layer, and what is no matrix (norms, biases) is the dense block's own; without, all of a unique block is tied. The
    matrices are shared by all depths, in memory and on disk; embeddings and head are the model's own tensors, to be
    copied by whoever hands the candidate out.
    """
    dense = blocks(model)
    depths = nn.ModuleList(
        _tied(index, unique[index % len(unique)])
        if adapter is None
        else _adapted(index, own, unique[index % len(unique)], adapter)
        for index, own in enumerate(dense)
    )
    memo: dict[int, Any] = {id(tensor): tensor for tensor in [*model.parameters(), *model.buffers()]}
    return copy.deepcopy(model, memo | {id(dense): depths}).eval()


def _tied(index: int, block: Any) -> Any:
    place = copy.deepcopy(block, {id(tensor): tensor for tensor in [*block.parameters(), *block.buffers()]})
    place.self_attn.layer_idx = index
    return place


def _adapted(index: int, own: Any, block: Any, adapter: Adapter) -> Any:
    names = linears(block)
    place = copy.deepcopy(own, {id(own.get_submodule(name).weight): block.get_submodule(name).weight for name in names})
    place.self_attn.layer_idx = index
    for name in names:
        shared = place.get_submodule(name)
        place.set_submodule(name, AdaptedLinear(shared, adapter(index, name, shared)))
    return place


def linears(block: nn.Module) -> list[str]:
    """Dotted names of the linear layers in a block."""
    return [name for name, module in block.named_modules() if isinstance(module, nn.Linear)]


def hollow_adapter(rank: int) -> Adapter:
    """Updates of this rank that say nothing: for weighing."""

    def make(index: int, name: str, shared: Any) -> nn.Module:
        width = min(rank, *shared.weight.shape)
        zeros = shared.weight.detach().new_zeros
        return FactoredLinear(zeros(shared.out_features, width), zeros(width, shared.in_features))

    return make


def residual_adapter(model: Any, rank: int) -> Adapter:
    """Truncated SVD of what the looped matrix lacks of the dense one: up = U S, down = V^T, of the `rank` largest.

    At full rank the depth computes what the dense model's block does."""

    def make(index: int, name: str, shared: Any) -> nn.Module:
        dtype = shared.weight.dtype
        wide = torch.float64 if dtype == torch.float64 else torch.float32
        wanted = blocks(model)[index].get_submodule(name).weight.detach().to(wide)
        left, values, right = svd(wanted - shared.weight.detach().to(wide))
        return FactoredLinear((left[:, :rank] * values[:rank]).to(dtype), right[:rank].to(dtype))

    return make
