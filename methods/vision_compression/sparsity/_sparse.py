"""Weights that are pruned one by one: how many may stay, which, how the rest is trained, and how it is stored."""

import copy
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from methods._techniques.masked_training import Masked, merge
from methods._techniques.packed_sparse import pack_bits, unpack_bits
from methods.vision_compression._folding import folded
from methods.vision_compression._layers import Restored, layers, with_layers
from methods.vision_compression._recovery import recover
from suites.vision_compression.task import CompressionTask

Counts = Mapping[str, int]
"""Name of a layer -> how many of its weights stay."""
Allocate = Callable[[Mapping[str, Tensor], int], Counts]
"""(weights by layer, how many may stay in all) -> Counts."""

FEW = 8
"""One of so many: where fewer survive, steps take less than bits."""
_LONGEST = 255
SLACK = 32
"""Weights a layer that are not spent: tensors begin at round places in a file."""


class Survivors(nn.Module):
    """Which weights survive, and those: packed bytes. Where they are few, the steps from one survivor to the next are
    stored in a byte each; where a step is longer than a byte holds, a zero survives on the way. Else a bit a weight.
    """

    where: Tensor
    values: Tensor

    def __init__(self, weight: Tensor, kept: Tensor) -> None:
        super().__init__()
        self.count, self.steps = kept.numel(), int(kept.sum()) * FEW < kept.numel()
        flat = kept.flatten()
        if self.steps:
            flat = filled(flat)
        self.register_buffer("where", steps_of(flat) if self.steps else pack_bits(flat))
        self.register_buffer("values", (weight.detach() * kept).flatten()[flat])

    def forward(self) -> Tensor:
        found = self.values.new_zeros(self.count)
        if self.steps:
            return found.index_copy_(0, self.where.long().cumsum(0) - 1, self.values)
        return found.masked_scatter_(unpack_bits(self.where, self.count), self.values)


def filled(kept: Tensor) -> Tensor:
    """Bool (count,), with so many more that no step is longer than a byte holds."""
    places = kept.nonzero().flatten()
    before = torch.cat([places.new_full((1,), -1), places])[: len(places)]
    far = places - before > _LONGEST
    found = kept.clone()
    for place, last in zip(places[far].tolist(), before[far].tolist(), strict=True):
        found[last + _LONGEST : place : _LONGEST] = True
    return found


def steps_of(kept: Tensor) -> Tensor:
    """From one to the next, uint8; the first from the place before all."""
    places = kept.nonzero().flatten()
    return places.diff(prepend=places.new_full((1,), -1)).to(torch.uint8)


def packed(model: nn.Module, masks: Mapping[str, Tensor]) -> nn.Module:
    """A copy that stores the survivors alone, batch norms folded; masks: bool, of the shape of a layer's weight."""
    plain = folded(model)
    found = layers(plain)
    return with_layers(
        plain, {name: Restored(found[name], Survivors(found[name].weight, mask)) for name, mask in masks.items()}
    )


def largest(weight: Tensor, count: int) -> Tensor:
    """Bool: the `count` largest by magnitude."""
    mask = torch.zeros(weight.numel(), dtype=torch.bool, device=weight.device)
    mask[weight.detach().abs().flatten().topk(count).indices] = True
    return mask.view(weight.shape)


def affordable(task: CompressionTask) -> int:
    """How many weights may stay in all. Bytes grow in a line with them; negative where not even none may."""
    found = layers(task.model)
    total = sum(each.weight.numel() for each in found.values())

    def excess(share: float) -> float:
        masks = {name: largest(each.weight, round(share * each.weight.numel())) for name, each in found.items()}
        return task.limits.excess(task.weigh(packed(task.model, masks)))

    # In a line on either side of where the bits begin.
    low, high = (0.0, 1 / FEW) if excess(1.01 / FEW) > 0 else (1.01 / FEW, 1.0)
    below, above = excess(low), excess(high)
    share = low + (high - low) * (below / (below - above) if above > 0 else 1.0)
    return int(total * share) - SLACK * len(found)


def unmet(task: CompressionTask) -> str | None:
    """Why zeros among other weights can't meet the limits, or None."""
    if "flops_ratio" in task.limits.result:
        return "zeros that stand anywhere are multiplied as other weights are: FLOPs stay as they were"
    few = {name: largest(each.weight, min(each.weight.numel(), 2 * SLACK)) for name, each in layers(task.model).items()}
    return task.still_over(packed(task.model, few), f"{2 * SLACK} weights left of each convolution and linear layer")


def prune(
    task: CompressionTask,
    masks_of: Callable[[nn.Module, int], Mapping[str, Tensor]],
    rate: float,
    rounds: int = 1,
) -> nn.Module:
    """Prune to what the limits leave, in rounds of equal shares of what is there, and train after each, masks held.

    masks_of(model, how many may stay): bool by layer; what is pruned stays so.
    """
    model = copy.deepcopy(task.model)
    total, budget = sum(each.weight.numel() for each in layers(model).values()), affordable(task)
    passes = task.passes // rounds
    for done in range(1, rounds + 1):
        left = budget if done == rounds else round(total * (budget / total) ** (done / rounds))
        masks = masks_of(model, left)
        train_masked(task, model, masks, rate, passes)
    return packed(model, masks)


def train_masked(
    task: CompressionTask, model: nn.Module, masks: Mapping[str, Tensor], rate: float, passes: int
) -> None:
    """In place; what is not kept is zero before and after."""
    for name, mask in masks.items():
        parametrize.register_parametrization(model.get_submodule(name), "weight", Masked(mask))
    model.requires_grad_(True)
    recover(task, model, rate, passes=passes)
    merge(model)
    model.eval()


def by_magnitude(allocate: Allocate) -> Callable[[nn.Module, int], Mapping[str, Tensor]]:
    """masks_of that keeps the largest of each layer, as many as `allocate` says."""

    def masks_of(model: nn.Module, left: int) -> Mapping[str, Tensor]:
        weights = {name: each.weight.detach() for name, each in layers(model).items()}
        return {name: largest(weights[name], count) for name, count in allocate(weights, left).items()}

    return masks_of


def highest_anywhere(scores: Mapping[str, Tensor], left: int) -> Counts:
    """How many of each layer are among the `left` highest scores. scores: by layer, of any shape."""
    owners = torch.cat([torch.full((each.numel(),), index) for index, each in enumerate(scores.values())])
    chosen = torch.cat([each.flatten().cpu() for each in scores.values()]).topk(left).indices
    counts = torch.bincount(owners[chosen], minlength=len(scores)).tolist()
    return dict(zip(scores, counts, strict=True))


def uniform(weights: Mapping[str, Tensor], left: int) -> Counts:
    """The same share of each layer."""
    total = sum(each.numel() for each in weights.values())
    return {name: left * each.numel() // total for name, each in weights.items()}
