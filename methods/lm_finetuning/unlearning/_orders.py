"""In which orders the slices of a shard are learned, so that some order outlives the deletions."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment


def cyclic_orders(slices: Sequence[int], count: int) -> list[tuple[int, ...]]:
    """`count` different orders by rotation: as many as there are slices begin with a different slice each, and further
    ones rotate what follows the first slice, and so on. Where there are fewer, their beginnings are far apart.

    Raises ValueError if there are fewer orders than that.
    """
    if count > math.factorial(len(slices)):
        raise ValueError(f"{len(slices)} slices have {math.factorial(len(slices))} orders, {count} were asked for")
    if count == 1:
        return [tuple(slices)]
    beginnings = min(count, len(slices))
    found: list[tuple[int, ...]] = []
    for turn in range(beginnings):
        start = turn * len(slices) // beginnings
        first, rest = slices[start], [*slices[start + 1 :], *slices[:start]]
        share = count // beginnings + (turn < count % beginnings)
        found += [(first, *order) for order in cyclic_orders(rest, share)]
    return found


def matched_orders(odds: Sequence[float], count: int, deletions: int = 100) -> list[tuple[int, ...]]:
    """The best `count` of as many orders as there are slices, no two with the same slice at one place.

    odds: of each slice, how likely a deletion falls into it. Place after place, a maximum-weight matching gives every
    order its next slice; the weight is `expected_prefix` after so many deletions.
    """
    orders: list[tuple[int, ...]] = [(slice_,) for slice_ in range(len(odds))]
    for _ in range(len(odds) - 1):
        weight = np.full((len(odds), len(odds)), -1e9)
        for row, order in enumerate(orders):
            for slice_ in set(range(len(odds))) - set(order):
                weight[row, slice_] = expected_prefix([odds[i] for i in (*order, slice_)], deletions)
        _, chosen = linear_sum_assignment(weight, maximize=True)
        orders = [(*order, int(slice_)) for order, slice_ in zip(orders, chosen, strict=True)]
    return sorted(orders, key=lambda order: -expected_prefix([odds[i] for i in order], deletions))[:count]


def expected_prefix(odds: Sequence[float], deletions: int) -> float:
    """Slices of an order, from its first, that so many independent deletions are expected to spare."""
    return float(sum((1 - min(1.0, hit)) ** deletions for hit in np.cumsum(odds)))
