"""Ranks that meet the limits of an operating point, no lower than they have to be."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

from methods._techniques.factored import Ranks, highest_saving_rank, hollow, shapes, with_layers
from methods.lm_compression._limits import NO_LIMIT, first_met
from suites._language.adapters import decoder_linears
from suites.lm_compression.task import CausalLMTask


def unmet(task: CausalLMTask) -> str | None:
    """Why the limits can't be met by lower ranks of the blocks' linear layers, or None if they can."""
    if not task.limits.result:
        return NO_LIMIT
    names = decoder_linears(task.model)
    if not names:
        return "the model's blocks have no linear layers that could be factorised"
    return task.still_over(hollowed(task, dict.fromkeys(names, 1)), "every matrix at rank 1")


def hollowed(task: CausalLMTask, ranks: Ranks) -> Any:
    """The task's model with these ranks, of factors that hold nothing: for weighing."""
    layers = {name: hollow(task.model.get_submodule(name), rank) for name, rank in ranks.items()}
    return with_layers(task.model, layers, share_weights=True)


def parameters(of: dict[str, tuple[int, int]], ranks: Ranks) -> int:
    """Numbers that matrices of these shapes hold at these ranks."""
    return sum(ranks[name] * (out + inner) if name in ranks else out * inner for name, (out, inner) in of.items())


def first_within(task: CausalLMTask, costs: Sequence[int], ranks: Callable[[int], Ranks]) -> Ranks:
    """`ranks(n)` for the smallest n from 0 to len(costs) that meets the limits.

    costs: how many parameters each further step saves. Raises OverBudget if not even the last is enough.
    """
    return ranks(first_met(task, costs, lambda count: hollowed(task, ranks(count))))


def uniform_ranks(task: CausalLMTask) -> Ranks:
    """Every matrix keeps one share of its parameters, the largest that meets the limits.

    The rank is rounded down, to 1 at least. Where the dense model meets the limits it stays.
    """
    matrices = shapes(task.model, decoder_linears(task.model))
    steps = sorted({share for shape in set(matrices.values()) for share in _shares(shape)}, reverse=True)

    def ranks(count: int) -> Ranks:
        """Dense, then with the first, the second... of the shares."""
        if count == 0:
            return {}
        return {name: rank for name, shape in matrices.items() if (rank := _rank(shape, steps[count - 1]))}

    left = [parameters(matrices, ranks(count)) for count in range(len(steps) + 1)]
    return first_within(task, [before - after for before, after in pairwise(left)], ranks)


def _shares(shape: tuple[int, int]) -> list[Fraction]:
    """What a matrix keeps of its parameters at each rank that saves any."""
    out, inner = shape
    return [Fraction(rank * (out + inner), out * inner) for rank in range(1, highest_saving_rank(shape) + 1)]


def _rank(shape: tuple[int, int], share: Fraction) -> int:
    """The highest rank that keeps no more than this share; 0, for dense, where a rank of 1 would save nothing."""
    out, inner = shape
    return min(max(1, int(share * out * inner / (out + inner))), highest_saving_rank(shape))
