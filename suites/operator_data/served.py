"""A solver that answers: systems go in as plain data, solutions and counted products come out."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bench.contract import Served
from suites.operator_data.equations import draw_sequence
from suites.operator_data.memory import solver_bytes
from suites.operator_data.system import Plain, SequenceSolver, System, Vector

_MEMORY = 0x3E30
"""First word of the seed of the systems that a solver is weighed on."""

_MEMORY_SYSTEMS = 3
"""Enough that a solver that recycles holds all that it will ever hold."""

Answer = list[tuple[int, Vector]]
"""A solution (n,) with the index of its system, in the order in which they were solved."""


class ServedSolver(Served[SequenceSolver]):
    """equation, grid: of the systems that it is weighed on."""

    def __init__(self, candidate: SequenceSolver, device: str, equation: str, grid: int) -> None:
        super().__init__(candidate, device)
        self._equation, self._grid = equation, grid

    def figures(self) -> Mapping[str, float]:
        """`solver_bytes`: peak of the arrays that the solver holds over a few systems, the same for every method."""
        rng = np.random.default_rng([_MEMORY, self._grid, _MEMORY_SYSTEMS])
        systems = draw_sequence(self._equation, self._grid, _MEMORY_SYSTEMS, rng)
        return {"solver_bytes": float(solver_bytes(self.candidate, systems))}

    def place(self, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """Of `solve`: the systems, with their matrices."""
        return tuple([System.read(plain) for plain in sequence] for sequence in inputs)

    def solve(self, systems: Sequence[System]) -> Answer:
        """Solve a sequence that has been placed; this is what is timed."""
        return [(solution.index, np.asarray(solution.x)) for solution in self.candidate.solve(systems)]

    def solve_and_count(self, sequence: Sequence[Plain]) -> tuple[Answer, list[int]]:
        """Solve a sequence; the products with each system's matrix beside it, in the order of the systems."""
        (systems,) = self.place((sequence,))
        answer = self.solve(systems)
        return answer, [system.A.products for system in systems]
