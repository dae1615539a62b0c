"""One order over all KV groups and neurons of a model, least important first, and how much of it must leave.

Scores are standardised layer by layer, which makes layers, attentions and MLPs comparable: one threshold over the
whole model then sets how much each layer loses (An et al., 2024, "adaptive structure search"). The threshold here
is the lowest that meets the limits of the operating point, as the runner measures them, so that a group counts with
all the bytes or FLOPs that it really saves.
"""

from bisect import bisect_left
from collections.abc import Callable, Collection, Sequence
from functools import cache
from itertools import accumulate
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from bench.contract import Limits
from methods.structured_pruning._cut import Kept, all_kept, cut, kv_groups, layers, query_channels, unsupported
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
    units: list[Unit] = []
    for index, layer in enumerate(layers(model)):
        groups = _groups(index, layer.self_attn, standardised(attention[index]))
        neurons = _neurons(index, layer.mlp, standardised(mlp[index]), block)
        for found in (groups, neurons):
            units += sorted(found, key=lambda unit: unit.score)[:-1]
    return sorted(units, key=lambda unit: unit.score)


def _groups(index: int, attention: Any, scores: Tensor) -> list[Unit]:
    parameters = sum(linear.weight.numel() for linear in attention.children() if hasattr(linear, "in_features"))
    count = kv_groups(attention)
    return [
        Unit(index, "group", (group,), parameters // count, float(scores[channels].mean()))
        for group in range(count)
        for channels in [query_channels(attention, torch.tensor([group]))]
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


def unmet(task: CausalLMTask, limits: Limits, block: int) -> str | None:
    """Why the limits can't be met by cutting heads and neurons, or None if they can."""
    if not limits.result:
        return "needs a limit on stored bytes or FLOPs per token: without one it would be the dense model"
    if reason := unsupported(task.model):
        return reason
    # As many neurons as the block that never leaves has: the last one, which may not be full.
    least = [Kept(groups[:1], neurons[: (len(neurons) - 1) % block + 1]) for groups, neurons in all_kept(task.model)]
    figures = task.weigh(cut(task.model, least, share_weights=True))
    for name, allowed in limits.result.items():
        if figures[name] > allowed:
            smallest = f"one KV group and {len(least[0].neurons)} neurons a layer"
            return f"{name} is still {figures[name]:.3f} with {smallest}; the limit is {allowed:g}"
    return None


def shortest_prefix(
    task: CausalLMTask, limits: Limits, order: Sequence[Unit], candidate: Callable[[Sequence[Unit]], Any]
) -> Sequence[Unit]:
    """The fewest units from the front of `order` without which the model meets the limits.

    candidate(units) is the model without them, fit for weighing. Raises OverBudget if the whole order is not enough.
    """

    @cache
    def excess(count: int) -> float:
        """By how much the tightest limit is passed, as a fraction of it; 0 or less is within."""
        figures = task.weigh(candidate(order[:count]))
        if count == len(order):
            limits.check_result(figures)
        return max((figures[name] / allowed - 1 for name, allowed in limits.result.items()), default=0.0)

    return order[: fewest([unit.parameters for unit in order], excess)]


def fewest(costs: Sequence[int], excess: Callable[[int], float]) -> int:
    """The smallest count from 0 to len(costs) with excess(count) <= 0; excess must not grow with the count.

    Bytes and FLOPs fall nearly in a line with the cost of what left, so a line through the ends of the bracket
    predicts the count; where it keeps missing to one side the step over it doubles. About six calls, where bisection
    takes a dozen of a second each.
    """
    if excess(0) <= 0:
        return 0
    total = [0, *accumulate(costs)]
    low, high = 0, len(costs)
    excess(high)
    beyond, last_met = 0, None
    while high - low > 1:
        share = excess(low) / (excess(low) - excess(high))
        probe = bisect_left(total, total[low] + share * (total[high] - total[low]))
        probe = min(max(probe + (-beyond if last_met else beyond), low + 1), high - 1)
        met = excess(probe) <= 0
        beyond = max(1, 2 * beyond) if met == last_met else 0
        last_met = met
        low, high = (low, probe) if met else (probe, high)
    return high
