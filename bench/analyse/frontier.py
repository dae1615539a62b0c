"""The Pareto frontier of quality against a cost."""

import math
from collections.abc import Sequence
from itertools import groupby


def pareto(
    points: Sequence[tuple[float, float]], better_cost: str = "lower", better_value: str = "higher"
) -> list[bool]:
    """For each (cost, value) whether no other point is at least as good in both and better in one.

    Points that are not numbers are never on the frontier and dominate nothing; equal points are on it together.
    """
    oriented = [
        (cost if better_cost == "lower" else -cost, value if better_value == "lower" else -value)
        for cost, value in points
    ]

    order = sorted((point, i) for i, point in enumerate(oriented) if not any(math.isnan(x) for x in point))
    on_it = [False] * len(points)
    best: float | None = None  # the best value at any smaller cost
    for _, group in groupby(order, key=lambda item: item[0][0]):
        same_cost = list(group)
        value = same_cost[0][0][1]
        if best is None or value < best:
            for point, i in same_cost:
                on_it[i] = point[1] == value
            best = value
    return on_it
