"""What a solver holds, seen from the matrix: the arrays that are alive while it multiplies."""

import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from suites.operator_data.system import CountedMatrix, SequenceSolver, System

_EVERY = 10
"""Products from one look to the next; a look costs as much as some dozens of products."""


class _WatchedMatrix(CountedMatrix):
    """Notes the most bytes in NumPy arrays of a vector's size or more, at the first product and every tenth after."""

    peak: int = 0

    def __matmul__(self, other: Any) -> Any:
        before = self._looks()
        result = super().__matmul__(other)
        if self._looks() > before:
            self.peak = max(self.peak, _array_bytes(at_least=8 * self.shape[0]))
        return result

    def _looks(self) -> int:
        return (self.products + _EVERY - 1) // _EVERY


def solver_bytes(solver: SequenceSolver, systems: Sequence[System]) -> int:
    """Peak bytes of Krylov bases, recycled bases and other arrays that the solver makes; measured, repeatable.

    Only arrays count that were made within this call and are as long as a solution or longer. Memory outside NumPy
    (the factors of an incomplete LU) and arrays that live between two products are not seen.
    """
    watched = [replace(system, A=_WatchedMatrix(system.A)) for system in systems]
    tracemalloc.start()
    try:
        for _ in solver.solve(watched):
            pass
    finally:
        tracemalloc.stop()
    return max(system.A.peak for system in watched if isinstance(system.A, _WatchedMatrix))


def _array_bytes(at_least: int) -> int:
    arrays = tracemalloc.DomainFilter(inclusive=True, domain=np.lib.tracemalloc_domain)
    traces = tracemalloc.take_snapshot().filter_traces([arrays]).traces
    return sum(trace.size for trace in traces if trace.size >= at_least)
