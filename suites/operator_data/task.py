"""What a solver of sequences of linear systems sees before it is asked to solve them."""

from dataclasses import dataclass

from bench.contract import Task
from suites.operator_data.system import System


@dataclass(kw_only=True)
class OperatorTask(Task):
    """Solving the linear systems that make the training data of a neural operator.

    equation: "darcy" or "helmholtz". preconditioner: "none", "jacobi" or "ilu", for `make_preconditioner`. tolerance:
    relative residual ||b - A x|| / ||b|| that every solution must meet. grids: cells per side of the sequences that
    will be solved. length, timed_length: systems in a sequence that is scored, and in one that is timed. A candidate
    is a `SequenceSolver`; it works on the CPU, in double precision.
    """

    equation: str
    preconditioner: str
    tolerance: float
    grids: tuple[int, ...]
    length: int
    timed_length: int

    def calibration(self, grid: int, systems: int) -> list[System]:
        """The first so many systems of the equation to tune on, drawn from the task's seed, metered as
        "calibration_systems".

        They are never the ones that are scored or timed. Raises ValueError for a grid that is none of the task's.
        """
        return [System.read(plain) for plain in self.supplies["calibration"].take((grid, systems))]
