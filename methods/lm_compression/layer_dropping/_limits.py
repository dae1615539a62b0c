"""Dropping as little as the limits of an operating point ask for."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any

from methods.lm_compression._limits import NO_LIMIT, first_met
from methods.lm_compression.layer_dropping._sublayers import KINDS, Sublayer, blocks, drop, sublayers, undroppable
from suites.lm_compression.task import CausalLMTask


def figures(task: CausalLMTask, dropped: Collection[Sublayer]) -> Mapping[str, float]:
    """What the model weighs without the dropped sub-layers. Shares the weights: costs a weighing, not a copy."""
    return task.weigh(drop(task.model, dropped, share_weights=True))


def unmet(task: CausalLMTask, droppable: Collection[Sublayer]) -> str | None:
    """Why the limits can't be met even by dropping all that is droppable, or None if they can."""
    if not task.limits.result:
        return NO_LIMIT
    if reason := undroppable(task.model):
        return reason
    return task.still_over(drop(task.model, droppable, share_weights=True), "all that it may drop gone")


def shortest_prefix(task: CausalLMTask, ranking: Sequence[Collection[Sublayer]]) -> Collection[Sublayer]:
    """The first few units of the ranking (least important first) whose removal meets the limits.

    Raises OverBudget if not even all of them are enough.
    """

    def dropped(count: int) -> list[Sublayer]:
        return list(chain.from_iterable(ranking[:count]))

    costs = [1] * len(ranking)
    return dropped(first_met(task, costs, lambda count: drop(task.model, dropped(count), share_weights=True)))


def take_until_met(task: CausalLMTask, order: Iterator[Sublayer]) -> list[Sublayer]:
    """The shortest beginning of `order` whose removal meets the limits, asking for no more of it than that.

    For an order that is dear to compute. While the way to go is longer than what the next few removals can possibly
    save, they are taken without a weighing. Raises OverBudget when `order` ends too early.
    """
    dropped: list[Sublayer] = []
    now = figures(task, dropped)
    heaviest = [figures(task, [max(sublayers(task.model, kind), key=_parameters_of(task.model))]) for kind in KINDS]
    saving = {name: max(now[name] - without[name] for without in heaviest) for name in task.limits.result}
    while not task.limits.met_by(now):
        # One per cent of slack, because serialised sizes are not exactly additive.
        safe = max(
            int(0.99 * (now[name] - allowed) / saving[name]) if saving[name] > 0 else 1
            for name, allowed in task.limits.result.items()
        )
        taken = list(islice(order, max(1, safe)))
        if not taken:
            task.limits.check_result(now)
        dropped += taken
        now = figures(task, dropped)
    return dropped


def _parameters_of(model: Any) -> Callable[[Sublayer], int]:
    """Parameters of a sub-layer of `model`, without its norm."""
    names = {"attention": "self_attn", "mlp": "mlp"}

    def count(sublayer: Sublayer) -> int:
        module = getattr(blocks(model)[sublayer.block], names[sublayer.kind])
        return sum(parameter.numel() for parameter in module.parameters())

    return count
