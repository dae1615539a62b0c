"""How many bits the weights of a decoder get, and the modules that hold them.

The linear layers of the blocks have one width, token embeddings and head another; where these two are tied they stay
one matrix. Of the widths in LADDER an operating point gets the first that meets it: the most bits.
"""

import copy
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from methods._techniques import packed
from methods._techniques.grid import Quantised, group_size, nearest
from methods._techniques.int8 import Int8Embedding, Int8Linear
from suites.lm_compression.task import CausalLMTask


class Precision(NamedTuple):
    """Bits of a weight: in the blocks' linear layers, in token embeddings and head."""

    linears: int
    embeddings: int


LADDER = (Precision(8, 8), Precision(8, 4), Precision(4, 4), Precision(3, 4), Precision(3, 3), Precision(2, 2))

GROUP = 64
"""Weights that share a step and an offset. 64 divides the width of every common model; 128 would not divide 576."""


@dataclass(frozen=True)
class Int8:
    """values: int8 (rows, columns); scale: (rows,) in the model's type."""

    values: Tensor
    scale: Tensor


def stored(quantised: Quantised, dtype: torch.dtype) -> "Int8 | packed.Packed":
    """Quantised weights as they are kept, by a model of this type."""
    if quantised.grid.bits == 8:
        values = (quantised.codes.to(torch.int16) - quantised.grid.origin).to(torch.int8)
        return Int8(values, quantised.grid.scale[:, 0].to(dtype))
    return packed.pack(quantised, dtype)


def as_linear(weight: "Int8 | packed.Packed", bias: Tensor | None) -> nn.Module:
    bias = None if bias is None else bias.detach().clone()
    if isinstance(weight, Int8):
        return Int8Linear(weight.values, weight.scale, bias)
    return packed.PackedLinear(weight, bias)


def as_embedding(weight: "Int8 | packed.Packed", dtype: torch.dtype) -> nn.Module:
    return (
        Int8Embedding(weight.values, weight.scale)
        if isinstance(weight, Int8)
        else packed.PackedEmbedding(weight, dtype)
    )


def block_linears(model: Any) -> list[str]:
    """Dotted names of the linear layers in the decoder's blocks."""
    layers = model.get_decoder().layers
    prefix = next(name for name, module in model.named_modules() if module is layers)
    return [f"{prefix}.{name}" for name, module in layers.named_modules() if isinstance(module, nn.Linear)]


def borrowing_copy(model: Any) -> Any:
    """A copy of the model whose linears and embeddings are the model's own still: to be replaced, never changed."""
    names = [*block_linears(model), *outer_names(model)]
    borrowed = {id(tensor): tensor for name in names for tensor in model.get_submodule(name).parameters()}
    return copy.deepcopy(model, borrowed)


def outer_names(model: Any) -> list[str]:
    """Dotted names of the token embeddings and of the head."""
    outer = (model.get_input_embeddings(), model.get_output_embeddings())
    return [name for name, module in model.named_modules() if any(module is one for one in outer)]


def replace_linear(parent: nn.Module, name: str, quantised: Quantised) -> None:
    """Put quantised weights in the place of a linear layer below `parent`."""
    linear = parent.get_submodule(name)
    parent.set_submodule(name, as_linear(stored(quantised, linear.weight.dtype), linear.bias))


@torch.no_grad()
def round_embeddings(model: Any, bits: int, group: int, clip: bool) -> None:
    """Token embeddings and head to the nearest levels, in place; tied ones share what is stored."""
    done: dict[int, Int8 | packed.Packed] = {}
    for name in outer_names(model):
        module = model.get_submodule(name)
        weight = module.weight
        if id(weight) not in done:
            done[id(weight)] = stored(nearest(weight.detach(), bits, group, clip), weight.dtype)
        _place(model, name, done[id(weight)])


def blank(model: Any, precision: Precision, group: int) -> Any:
    """A candidate of the right size with nothing in it: for weighing."""
    candidate = borrowing_copy(model)
    done: dict[int, Int8 | packed.Packed] = {}
    outer = outer_names(model)
    for name in [*block_linears(model), *outer]:
        weight = model.get_submodule(name).weight
        bits = precision.embeddings if name in outer else precision.linears
        if id(weight) not in done:
            done[id(weight)] = _blank(weight, bits, group)
        _place(candidate, name, done[id(weight)])
    return candidate.eval()


def _place(model: Any, name: str, weight: "Int8 | packed.Packed") -> None:
    module = model.get_submodule(name)
    made = (
        as_embedding(weight, module.weight.dtype)
        if isinstance(module, nn.Embedding)
        else as_linear(weight, module.bias)
    )
    model.set_submodule(name, made)


def _blank(weight: Tensor, bits: int, group: int) -> "Int8 | packed.Packed":
    rows, columns = weight.shape
    if bits == 8:
        return Int8(torch.zeros_like(weight, dtype=torch.int8), torch.zeros_like(weight[:, 0]))
    return packed.blank(rows, columns, bits, group_size(columns, bits, group), weight.dtype, weight.device)


def unmet(task: CausalLMTask, bits: int | None, group: int, model: Any = None) -> str | None:
    """Why the limits can't be met by these bits (None: by any of LADDER), or None if they can.

    model: what is quantised, if it is built otherwise than the task's.
    """
    for name in task.limits.result:
        if name != "stored_ratio":
            return f"fewer bits change the stored bytes; they cannot meet a limit on {name}"
    if bits is not None and task.limits.result:
        return f"has {bits} bits whatever the limit; the default variant meets limits"
    if bits is None and not task.limits.result:
        return "needs a limit on stored bytes: it gives the most bits that meet it"
    for name in [*block_linears(task.model), *outer_names(task.model)]:
        if reason := packed.unpackable(*task.model.get_submodule(name).weight.shape):
            return reason
    if bits is not None:
        return None
    return task.still_over(blank(model or task.model, LADDER[-1], group), f"{LADDER[-1].linears} bits")


def most_bits(task: CausalLMTask, bits: int | None, group: int, model: Any = None) -> Precision:
    """The first of LADDER that meets the limits, or the fixed bits. Raises OverBudget if none meets them."""
    if bits is not None:
        return Precision(bits, bits)
    for precision in LADDER:
        figures = task.weigh(blank(model or task.model, precision, group))
        if task.limits.met_by(figures):
            return precision
    task.limits.check_result(figures)
    raise AssertionError("unreachable: the last figures are over the limits")
