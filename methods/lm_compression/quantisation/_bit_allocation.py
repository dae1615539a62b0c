"""Bits for each matrix under a budget of bytes: the choice of least total cost, by integer linear programming."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array


def allocate(costs: Sequence[Mapping[int, float]], sizes: Sequence[Mapping[int, int]], budget: float) -> list[int]:
    """The bits of each matrix: the sum of their costs is least, the sum of their sizes within the budget.

    costs, sizes: of each matrix by the bits that it may have. Raises ValueError if the smallest are too large.
    """
    choices = [(index, bits) for index, size in enumerate(sizes) for bits in size]
    cost = np.array([costs[index][bits] for index, bits in choices])
    size = np.array([sizes[index][bits] for index, bits in choices], dtype=float)
    if sum(min(each.values()) for each in sizes) > budget:
        raise ValueError(f"even the fewest bits take more than the budget of {budget:.0f} bytes")
    one_each = coo_array((np.ones(len(choices)), ([index for index, _ in choices], range(len(choices)))))
    found = milp(
        cost / cost.max(),
        integrality=np.ones(len(choices)),
        bounds=Bounds(0, 1),
        constraints=[LinearConstraint(one_each, 1, 1), LinearConstraint(size[None] / budget, -np.inf, 1)],
        options={"mip_rel_gap": 1e-4, "time_limit": 20.0},
    )
    if found.x is None:
        raise ValueError(f"no allocation was found: {found.message}")
    chosen = [bits for (_, bits), taken in zip(choices, found.x, strict=True) if taken > 0.5]
    if sum(each[bits] for each, bits in zip(sizes, chosen, strict=True)) > budget:
        raise ValueError("the solver's rounding passed the budget")
    return chosen
