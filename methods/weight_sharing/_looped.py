"""A decoder whose blocks are few, run in a loop, each time round with low-rank updates of its own."""

import copy
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from methods.layer_dropping._sublayers import blocks, unsupported
from methods.low_rank._factored import FactoredLinear, svd

Initialisation = Literal["stepwise", "average", "lower"]
Adapter = Callable[[int, str, Any], nn.Module]
"""(block of the dense model, name of a linear layer in it, the layer that is looped in its place) -> the update."""

READERS = {
    "input_layernorm": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "post_attention_layernorm": ("mlp.gate_proj", "mlp.up_proj"),
}
"""Which layers read the output of each norm of a block."""


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
    if reason := unsupported(model):
        return reason
    for index, block in enumerate(blocks(model)):
        for norm, readers in READERS.items():
            if [name for name, _ in getattr(block, norm).named_parameters()] != ["weight"]:
                return f"block {index}: {norm} has more than a scale, which can't be folded into the layers after it"
            for name in readers:
                part, _, layer = name.partition(".")
                if not isinstance(getattr(getattr(block, part), layer, None), nn.Linear):
                    return f"block {index} has no linear {name}: only Llama-like blocks can be looped"
    return None


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
def folded(block: Any) -> Any:
    """A copy of the block in at least 32 bits whose norms have scale 1: the scales are in the layers that read them."""
    plain = copy.deepcopy(block)
    plain = plain if next(plain.parameters()).dtype == torch.float64 else plain.float()
    for norm, readers in READERS.items():
        scale = getattr(plain, norm).weight
        for name in readers:
            plain.get_submodule(name).weight.mul_(scale)
        scale.fill_(1.0)
    return plain


@torch.no_grad()
def mean_block(dense: Sequence[Any]) -> Any:
    """A block with the mean of these blocks' weights, norms folded away; in the type of their weights."""
    mean = folded(dense[0])
    for block in dense[1:]:
        for total, weight in zip(mean.parameters(), folded(block).parameters(), strict=True):
            total.add_(weight)
    for total in mean.parameters():
        total.div_(len(dense))
    return mean.to(next(dense[0].parameters()).dtype)


def looped(model: Any, unique: Sequence[Any], adapter: Adapter | None) -> Any:
    """A copy of `model` whose blocks are the `unique` ones, run one after the other until the depth is that of `model`.

    Every depth has a place of its own in the KV cache, and with an adapter an update of its own on every linear layer.
    The weights of the unique blocks are shared by all depths, in memory and on disk; embeddings and head are the
    model's own tensors, to be copied by whoever hands the candidate out.
    """
    dense = blocks(model)
    depths = nn.ModuleList(_at_depth(index, unique[index % len(unique)], adapter) for index in range(len(dense)))
    depths.training = dense.training
    memo: dict[int, Any] = {id(tensor): tensor for tensor in [*model.parameters(), *model.buffers()]}
    return copy.deepcopy(model, memo | {id(dense): depths})


def _at_depth(index: int, block: Any, adapter: Adapter | None) -> Any:
    place = copy.deepcopy(block, {id(tensor): tensor for tensor in [*block.parameters(), *block.buffers()]})
    place.self_attn.layer_idx = index
    if adapter is not None:
        for name in linears(block):
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
    """Truncated SVD of what the looped layer lacks of the dense one: up = U S, down = V^T, of the `rank` largest.

    At full rank the depth computes what the dense model's block does."""
    plain: dict[int, Any] = {}

    def make(index: int, name: str, shared: Any) -> nn.Module:
        if index not in plain:
            plain.clear()  # one block at a time
            plain[index] = folded(blocks(model)[index])
        wanted = plain[index].get_submodule(name).weight.detach()
        left, values, right = svd(wanted - shared.weight.detach().to(wanted.dtype))
        dtype = shared.weight.dtype
        return FactoredLinear((left[:, :rank] * values[:rank]).to(dtype), right[:rank].to(dtype))

    return make
