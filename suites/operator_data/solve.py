"""Solving the sequences of sparse linear systems that make the training data of neural operators."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.contract import Problem, Score, Served, Setting, Step, Supply, Workload, only_the_judge
from suites.operator_data.calibration import CalibrationSystems
from suites.operator_data.equations import draw_sequence
from suites.operator_data.served import ServedSolver
from suites.operator_data.system import SequenceSolver, System
from suites.operator_data.task import OperatorTask

_EVALUATION = 0xE7A1
"""First word of the seeds of the sequences that are scored; a task's own seeds have two words, these have three."""


@dataclass(frozen=True)
class Exam:
    """equation, grids, length, timed_length: as of OperatorTask. allowed: the residual of a timed solution."""

    equation: str
    grids: tuple[int, ...]
    length: int
    timed_length: int
    allowed: float

    def sequence(self, grid: int) -> list[System]:
        """What is scored at a grid, the same for every method and every seed."""
        only_the_judge("the sequences that operator-data scores")
        return draw_sequence(self.equation, grid, self.length, np.random.default_rng([_EVALUATION, grid, self.length]))


class Solve(Problem[OperatorTask, Exam]):
    """settings: equation, preconditioner, tolerance, sizes (see suite.toml)."""

    def supplies(self, setting: Setting) -> Mapping[str, Supply]:
        return {"calibration": CalibrationSystems(self._equation, self._grids(setting), setting.seed)}

    def task(self, setting: Setting) -> OperatorTask:
        size = self._size(setting)
        return OperatorTask(
            scale=setting.scale,
            seed=setting.seed,
            device=setting.device,
            equation=self._equation,
            preconditioner=self.settings["preconditioner"],
            tolerance=self.settings["tolerance"],
            grids=self._grids(setting),
            length=size["systems"],
            timed_length=size["timed"],
        )

    def serve(self, candidate: SequenceSolver, task: OperatorTask) -> ServedSolver:
        return ServedSolver(candidate, task.device, task.equation, max(task.grids))

    def exam(self, setting: Setting) -> Exam:
        size = self._size(setting)
        allowed = setting.point.limits.result.get("max_relative_residual", self.settings["tolerance"])
        return Exam(self._equation, self._grids(setting), size["systems"], size["timed"], allowed)

    def evaluate(self, served: ServedSolver, exam: Exam) -> Sequence[Score]:
        """Solve one fixed sequence per grid; samples stand in the order in which the systems were drawn.

        `iterations` are products with A, counted by the matrix itself, per system.
        """
        residuals: list[float] = []
        scores: list[Score] = []
        products: list[float] = []
        for grid in sorted(exam.grids):
            systems = exam.sequence(grid)
            answer, counts = served.solve_and_count([system.plain() for system in systems])
            residuals += _residuals(systems, answer)
            products = [float(count) for _, count in zip(systems, counts, strict=True)]
            scores.append(Score(f"iterations-{grid}", products))
        quarter = max(1, exam.length // 4)
        return [
            Score("iterations", products),
            Score("max_relative_residual", residuals, aggregate="max"),
            Score("iterations_first_quarter", products[:quarter]),
            Score("iterations_last_quarter", products[-quarter:]),
            *scores,
        ]

    def workloads(self, exam: Exam) -> Sequence[Workload]:
        """One sequence per trial, largest grid first."""
        return [_workload(exam, grid) for grid in sorted(exam.grids, reverse=True)]

    @property
    def _equation(self) -> str:
        return str(self.settings["equation"])

    def _size(self, setting: Setting) -> Mapping[str, Any]:
        size: Mapping[str, Any] = self.settings["sizes"][setting.scale][self._equation]
        return size

    def _grids(self, setting: Setting) -> tuple[int, ...]:
        return tuple(self._size(setting)["grids"])


def _workload(exam: Exam, grid: int) -> Workload:
    def trial(rng: np.random.Generator) -> Iterator[Step]:
        systems = draw_sequence(exam.equation, grid, exam.timed_length, rng)

        def check(answer: Any, served: Served[Any]) -> str | None:
            worst = max(_residuals(systems, answer))
            return f"relative residual {worst:.3g}, more than {exam.allowed:.3g}" if not worst <= exam.allowed else None

        inputs = ([system.plain() for system in systems],)
        yield Step("solve", "solve", inputs, units=len(systems), check=check)

    return Workload(f"{exam.equation}-{grid}", trial, unit="system", min_trials=7)


def _residuals(systems: Sequence[System], answer: Sequence[tuple[int, Any]]) -> list[float]:
    """True relative residual of each system's solution. Raises ValueError unless each has one, of its length."""
    indices = sorted(index for index, _ in answer)
    if indices != list(range(len(systems))):
        raise ValueError(
            f"{len(systems)} systems need one solution each, under the indices 0 to {len(systems) - 1}; got {indices}"
        )
    solutions = dict(answer)
    for index, system in enumerate(systems):
        if np.shape(solutions[index]) != system.b.shape:
            raise ValueError(f"a solution of shape {np.shape(solutions[index])} for {len(system.b)} unknowns")
    return [system.relative_residual(solutions[index]) for index, system in enumerate(systems)]
