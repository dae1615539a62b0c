"""An order over all KV groups and neurons of a model, least important first, and how much of it must leave.

Two orders. In `ranking` scores are standardised layer by layer, which makes layers, attentions and MLPs comparable:
one threshold over the whole model then sets how much each layer loses (An et al., 2024, "adaptive structure search").
In `even_ranking` every layer loses the same share. How much leaves is the least that meets the limits of the operating
point, as the runner measures them, so that a group counts with all the bytes or FLOPs that it really saves.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from methods.lm_compression._limits import NO_LIMIT, first_met
from methods.lm_compression.structured_pruning._cut import (
    InputMeans,
    Kept,
    all_kept,
    cut,
    kv_groups,
    layers,
    uncuttable,
)
from suites.lm_compression.task import CausalLMTask


class Unit(NamedTuple):
    """What leaves in one step: a KV group, or a few neurons, of one layer. parameters: how many numbers go with it."""

    layer: int
    kind: Literal["group", "neurons"]
    members: tuple[int, ...]
    parameters: int
    score: float


def standardised(scores: Tensor) -> Tensor:
    """Zero mean and unit deviation over one layer's channels (channels,); all zero where all are equal."""
    centred = scores - scores.mean()
    return centred / scores.std().clamp_min(torch.finfo(scores.dtype).tiny)


def ranking(model: Any, attention: Sequence[Tensor], mlp: Sequence[Tensor], block: int) -> list[Unit]:
    """All units that may leave, lowest score first; ties keep the order of the model.

    attention, mlp: scores of the query channels and of the neurons, one float64 tensor (channels,) per layer. A
    group's score is the mean of its channels' standardised scores. Neurons leave in blocks of `block` neighbours in
    their layer's order, scored by their mean: widths stay multiples of it, which GPU matrix units want.
    The best group and the best block of each layer never leave: a layer without heads would leave a hole in the
    KV cache.
    """
    groups = [
        standardised(scores).view(kv_groups(layer.self_attn), -1).mean(1)
        for layer, scores in zip(layers(model), attention, strict=True)
    ]
    parts = removable(model, groups, [standardised(scores) for scores in mlp], block)
    return sorted((unit for part in parts for unit in part), key=lambda unit: unit.score)


def even_ranking(
    model: Any, groups: Sequence[Tensor], mlp: Sequence[Tensor], block: int, whole: Collection[int] = ()
) -> list[Unit]:
    """All units that may leave, so that any beginning takes about the same share of every attention and MLP.

    groups, mlp: scores of the KV groups and of the neurons, (count,) per layer; they decide within a layer, and between
    layers whose shares are equal. whole: layers of which nothing may leave.
    """
    places: list[tuple[float, Unit]] = []
    for part in removable(model, groups, mlp, block):
        places += [((rank + 1) / (len(part) + 1), unit) for rank, unit in enumerate(part) if unit.layer not in whole]
    return [unit for _, unit in sorted(places, key=lambda place: (place[0], place[1].score))]


def removable(model: Any, groups: Sequence[Tensor], mlp: Sequence[Tensor], block: int) -> Iterator[list[Unit]]:
    """The units of each attention and of each MLP that may leave, lowest score first. All but the last, so that no
    layer is left without heads or neurons."""
    for index, layer in enumerate(layers(model)):
        for found in (_groups(index, layer.self_attn, groups[index]), _neurons(index, layer.mlp, mlp[index], block)):
            yield sorted(found, key=lambda unit: unit.score)[:-1]


def _groups(index: int, attention: Any, scores: Tensor) -> list[Unit]:
    parameters = sum(linear.weight.numel() for linear in attention.children() if hasattr(linear, "in_features"))
    return [
        Unit(index, "group", (group,), parameters // len(scores), float(score)) for group, score in enumerate(scores)
    ]


def _neurons(index: int, mlp: Any, scores: Tensor, block: int) -> list[Unit]:
    per_neuron = 3 * mlp.down_proj.out_features
    return [
        Unit(index, "neurons", tuple(members.tolist()), per_neuron * len(members), float(scores[members].mean()))
        for members in scores.argsort(stable=True).split(block)
    ]


def without(model: Any, gone: Collection[Unit]) -> list[Kept]:
    """What is kept of each layer once these units have left."""
    kept = []
    for index, (groups, neurons) in enumerate(all_kept(model)):
        lost = {kind: [m for u in gone if u.layer == index and u.kind == kind for m in u.members] for kind in _KINDS}
        kept.append(Kept(_rest(groups, lost["group"]), _rest(neurons, lost["neurons"])))
    return kept


_KINDS = ("group", "neurons")


def _rest(indices: Tensor, lost: Sequence[int]) -> Tensor:
    stays = torch.ones(len(indices), dtype=torch.bool)
    stays[list(lost)] = False
    return indices[stays]


def unmet(task: CausalLMTask, block: int, whole: Collection[int] = ()) -> str | None:
    """Why the limits can't be met by cutting heads and neurons, of all layers but `whole`, or None if they can."""
    if not task.limits.result:
        return NO_LIMIT
    if reason := uncuttable(task.model):
        return reason
    # As many neurons as the block that never leaves has: the last one, which may not be full.
    least = [
        kept if index in whole else Kept(kept.groups[:1], kept.neurons[: (len(kept.neurons) - 1) % block + 1])
        for index, kept in enumerate(all_kept(task.model))
    ]
    smallest = f"one KV group and {min(len(kept.neurons) for kept in least)} neurons a layer"
    besides = f" but {len(whole)} that stay whole" if whole else ""
    return task.still_over(cut(task.model, least, share_weights=True), smallest + besides)


def cut_to_limits(task: CausalLMTask, order: Sequence[Unit], means: Sequence[InputMeans] | None = None) -> Any:
    """A copy of the model without the fewest units from the front of `order` that have to leave; means: see `cut`."""
    gone = shortest_prefix(
        task, order, lambda units: cut(task.model, without(task.model, units), means, share_weights=True)
    )
    return cut(task.model, without(task.model, gone), means)


def shortest_prefix(
    task: CausalLMTask, order: Sequence[Unit], candidate: Callable[[Sequence[Unit]], Any]
) -> Sequence[Unit]:
    """The fewest units from the front of `order` without which the model meets the limits.

    candidate(units) is the model without them, fit for weighing. Raises OverBudget if the whole order is not enough.
    """
    costs = [unit.parameters for unit in order]
    return order[: first_met(task, costs, lambda count: candidate(order[:count]))]
