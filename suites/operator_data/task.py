"""What a solver of sequences of linear systems sees before it is asked to solve them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from bench.contract import Task
from suites.operator_data.preconditioner import Preconditioner, make_preconditioner
from suites.operator_data.problems import draw_sequence
from suites.operator_data.system import System


@dataclass(kw_only=True)
class OperatorTask(Task):
    """Solving the linear systems that make the training data of a neural operator.

    problem: "darcy" or "helmholtz". preconditioner: "none", "jacobi" or "ilu". tolerance: relative residual
    ||b - A x|| / ||b|| that every solution must meet. grids: cells per side of the sequences that will be solved.
    length, timed_length: systems in a sequence that is scored, and in one that is timed. A candidate is a
    `SequenceSolver`; it works on the CPU, in double precision.
    """

    problem: str
    preconditioner: str
    tolerance: float
    grids: tuple[int, ...]
    length: int
    timed_length: int

    def precondition(self, A: csr_array) -> Preconditioner:
        """The preconditioner of this operating point for A; to be made within `solve`, its time counts there."""
        return make_preconditioner(self.preconditioner, A)

    def calibration(self, grid: int, systems: int) -> Iterator[System]:
        """Yield systems of the problem to tune on, drawn from the task's seed, metered as "calibration_systems".

        They are never the ones that are scored or timed.
        """
        rng = np.random.default_rng([self.seed, grid])
        for _ in range(systems):
            self.draw("calibration_systems", 1)
            yield from draw_sequence(self.problem, grid, 1, rng)
