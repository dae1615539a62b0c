"""The order in which skr solves the systems: a greedy walk from each parameter field to the nearest one left."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

GROUP = 1000
"""Fields compared with one another at a time, so that the work grows with the length of a long sequence and not with
its square (the paper groups sequences of more than some thousands)."""


def greedy_order(fields: Sequence[NDArray[np.float64]], group: int = GROUP) -> list[int]:
    """A permutation of range(len(fields)): starts with 0, then always the unvisited field nearest to the last one.

    Nearest by the Frobenius distance of the raw fields; of equally near ones the first (Wang et al., 2024,
    algorithm 1). Fields beyond `group` are walked group by group, in the given order of groups, each from the field
    that is nearest to the end of the walk before it.
    """
    order: list[int] = []
    for start in range(0, len(fields), group):
        members = list(range(start, min(start + group, len(fields))))
        last = [order[-1]] if order else []
        order += _walk(np.stack([fields[i].ravel() for i in last + members]), last + members)[len(last) :]
    return order


def _walk(points: NDArray[np.float64], names: list[int]) -> list[int]:
    # Distances through inner products: one matrix product. Subtracting the mean first keeps them accurate.
    points = points - points.mean(axis=0)
    squares = np.einsum("ij,ij->i", points, points)
    distances = squares[:, None] + squares[None, :] - 2 * points @ points.T
    current, walk = 0, [names[0]]
    distances[:, 0] = np.inf
    for _ in names[1:]:
        current = int(np.argmin(distances[current]))
        distances[:, current] = np.inf
        walk.append(names[current])
    return walk
