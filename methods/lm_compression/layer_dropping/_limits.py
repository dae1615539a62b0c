"""Dropping as little as the limits of an operating point ask for."""

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any

from bench.contract import Limits
from methods.lm_compression.layer_dropping._sublayers import KINDS, Sublayer, blocks, drop, sublayers, unsupported
from suites.lm_compression.task import CausalLMTask


def figures(task: CausalLMTask, dropped: Collection[Sublayer]) -> Mapping[str, float]:
    """What the model weighs without the dropped sub-layers. Shares the weights: costs a weighing, not a copy."""
    return task.weigh(drop(task.model, dropped, share_weights=True))


def unmet(task: CausalLMTask, limits: Limits, droppable: Collection[Sublayer]) -> str | None:
    """Why the limits can't be met even by dropping all that is droppable, or None if they can."""
    if not limits.result:
        return "needs a limit on stored bytes or FLOPs per token: without one it would be the dense model"
    reason = unsupported(task.model)
    if reason:
        return reason
    least = figures(task, droppable)
    for name, allowed in limits.result.items():
        if least[name] > allowed:
            return f"{name} is still {least[name]:.3f} with all that it may drop gone; the limit is {allowed:g}"
    return None


def fewest(
    task: CausalLMTask, limits: Limits, most: int, dropped: Callable[[int], Collection[Sublayer]]
) -> Collection[Sublayer]:
    """`dropped(n)` for the smallest n in 0..most that meets the limits; figures must not grow with n.

    About log2(most) weighings. Raises OverBudget if not even `most` is enough.
    """
    n = bisect_left(range(most), True, key=lambda n: limits.met_by(figures(task, dropped(n))))
    if n == most:
        limits.check_result(figures(task, dropped(most)))
    return dropped(n)


def shortest_prefix(
    task: CausalLMTask, limits: Limits, ranking: Sequence[Collection[Sublayer]]
) -> Collection[Sublayer]:
    """The first few units of the ranking (least important first) whose removal meets the limits."""
    return fewest(task, limits, len(ranking), lambda n: list(chain.from_iterable(ranking[:n])))


def take_until_met(task: CausalLMTask, limits: Limits, order: Iterator[Sublayer]) -> list[Sublayer]:
    """The shortest beginning of `order` whose removal meets the limits, asking for no more of it than that.

    For an order that is dear to compute. While the way to go is longer than what the next few removals can possibly
    save, they are taken without a weighing. Raises OverBudget when `order` ends too early.
    """
    dropped: list[Sublayer] = []
    now = figures(task, dropped)
    heaviest = [figures(task, [max(sublayers(task.model, kind), key=_parameters_of(task.model))]) for kind in KINDS]
    saving = {name: max(now[name] - without[name] for without in heaviest) for name in limits.result}
    while not limits.met_by(now):
        # One per cent of slack, because serialised sizes are not exactly additive.
        safe = max(
            int(0.99 * (now[name] - allowed) / saving[name]) if saving[name] > 0 else 1
            for name, allowed in limits.result.items()
        )
        taken = list(islice(order, max(1, safe)))
        if not taken:
            limits.check_result(now)
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
