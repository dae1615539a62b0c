"""Solving the sequences of sparse linear systems that make the training data of neural operators."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from bench.contract import OperatingPoint, Score, Step, Suite, Workload, require_scoring
from suites.operator_data.memory import solver_bytes
from suites.operator_data.problems import draw_sequence
from suites.operator_data.system import SequenceSolver, Solution, System
from suites.operator_data.task import OperatorTask

_EVALUATION, _MEMORY = 0xE7A1, 0x3E30
"""First words of the seeds of the sequences that are scored and weighed; a task's own seeds have two words."""

_MEMORY_SYSTEMS = 3
"""Enough that a solver that recycles holds all that it will ever hold."""


class OperatorData(Suite[OperatorTask]):
    def task(self, *, scale: str, base: str, point: OperatingPoint, seed: int, device: str) -> OperatorTask:
        size = self.info.settings["sizes"][scale][point.settings["problem"]]
        task = OperatorTask(
            scale=scale,
            seed=seed,
            device=device,
            limits=point.limits,
            problem=point.settings["problem"],
            preconditioner=point.settings["preconditioner"],
            tolerance=point.settings["tolerance"],
            grids=tuple(size["grids"]),
            length=size["systems"],
            timed_length=size["timed"],
        )
        task.weigh = partial(self.figures, task=task)
        return task

    def evaluate(self, candidate: SequenceSolver, task: OperatorTask) -> Sequence[Score]:
        """Solve one fixed sequence per grid; samples stand in the order in which the systems were drawn.

        `iterations` are products with A, counted by the matrix itself, per system.
        """
        residuals: list[float] = []
        scores: list[Score] = []
        products: list[float] = []
        for grid in sorted(task.grids):
            systems = _sequence(task, grid, task.length, _EVALUATION)
            residuals += _residuals(systems, list(candidate.solve(systems)))
            products = [float(system.A.products) for system in systems]
            scores.append(Score(f"iterations-{grid}", products))
        quarter = max(1, task.length // 4)
        return [
            Score("iterations", products),
            Score("max_relative_residual", residuals, aggregate="max"),
            Score("iterations_first_quarter", products[:quarter]),
            Score("iterations_last_quarter", products[-quarter:]),
            *scores,
        ]

    def figures(self, candidate: SequenceSolver, task: OperatorTask) -> Mapping[str, float]:
        """`solver_bytes`: peak of the arrays that the solver holds over a few systems of the largest grid."""
        systems = _sequence(task, max(task.grids), _MEMORY_SYSTEMS, _MEMORY)
        return {"solver_bytes": float(solver_bytes(candidate, systems))}

    def workloads(self, task: OperatorTask) -> Sequence[Workload]:
        """One sequence per trial, largest grid first."""
        return [
            Workload(f"{task.problem}-{grid}", _trial(task, grid), unit="system", min_trials=7)
            for grid in sorted(task.grids, reverse=True)
        ]


def _trial(task: OperatorTask, grid: int) -> Callable[[Any, np.random.Generator], Iterator[Step]]:
    allowed = task.limits.result.get("max_relative_residual", task.tolerance)

    def trial(candidate: SequenceSolver, rng: np.random.Generator) -> Iterator[Step]:
        systems = draw_sequence(task.problem, grid, task.timed_length, rng)

        def check(solutions: list[Solution]) -> str | None:
            worst = max(_residuals(systems, solutions))
            return f"relative residual {worst:.3g}, more than {allowed:.3g}" if not worst <= allowed else None

        yield Step("solve", lambda: list(candidate.solve(systems)), units=len(systems), check=check)

    return trial


def _sequence(task: OperatorTask, grid: int, length: int, use: int) -> list[System]:
    """A sequence that is the same for every method and every seed."""
    if use == _EVALUATION:
        require_scoring("the sequences that operator-data scores")
    return draw_sequence(task.problem, grid, length, np.random.default_rng([use, grid, length]))


def _residuals(systems: Sequence[System], solutions: Sequence[Solution]) -> list[float]:
    """True relative residual of each system's solution. Raises ValueError unless each has exactly one."""
    if sorted(solution.index for solution in solutions) != list(range(len(systems))):
        raise ValueError(
            f"{len(systems)} systems need one solution each, under the indices 0 to {len(systems) - 1}; "
            f"got {[solution.index for solution in solutions]}"
        )
    by_index = sorted(solutions, key=lambda solution: solution.index)
    return [system.relative_residual(solution.x) for system, solution in zip(systems, by_index, strict=True)]
