"""The Pareto frontier of quality against a cost."""

import math
from collections.abc import Sequence


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

    def dominated(i: int) -> bool:
        cost, value = oriented[i]
        return any(
            other != (cost, value) and other[0] <= cost and other[1] <= value
            for j, other in enumerate(oriented)
            if j != i and not any(math.isnan(x) for x in other)
        )

    return [not any(math.isnan(x) for x in point) and not dominated(i) for i, point in enumerate(oriented)]
