"""The suite's problems, its counting, and its scores."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pytest
from scipy.sparse.linalg import spsolve

from bench.contract import ExamRead, OverBudget, Problem, Score, Setting, Workload
from bench.measure.side import SideHere
from bench.registry import open_registry
from bench.registry.registry import load_problem
from bench.run.channel import packed, unpacked
from bench.run.weigh import Scale
from suites.operator_data.equations import (
    EQUATIONS,
    diffusion_matrix,
    draw_sequence,
    gaussian_random_field,
    helmholtz,
)
from suites.operator_data.solve import Exam
from suites.operator_data.system import SequenceSolver, Solution, System
from suites.operator_data.task import OperatorTask

SUITE = open_registry().suite("operator-data")


def problem_of(point: str) -> Problem[OperatorTask, Exam]:
    return load_problem(SUITE, SUITE.points[point].problem)


def setting(point: str = "darcy-none", seed: int = 0, scale: str = "tiny") -> Setting:
    return Setting(scale, "generated", SUITE.points[point].at(scale), seed)


def make_task(point: str = "darcy-none", seed: int = 0) -> OperatorTask:
    return problem_of(point).task_at_hand(setting(point, seed))


def evaluate(solver: SequenceSolver, seed: int = 0) -> dict[str, Score]:
    problem, where = problem_of("darcy-none"), setting(seed=seed)
    served = problem.serve(solver, problem.task_at_hand(where))
    return {score.name: score for score in problem.evaluate(served, problem.exam(where))}


def workloads(point: str = "darcy-none", scale: str = "tiny") -> Sequence[Workload]:
    problem = problem_of(point)
    return problem.workloads(problem.exam(setting(point, scale=scale)))


class Exact:
    """Solves directly, last system first, then spoils the answers."""

    def __init__(self, error: float = 0.0, drop: bool = False, extra_products: int = 0) -> None:
        self.error, self.drop, self.extra_products = error, drop, extra_products

    def solve(self, systems: Sequence[System]) -> Iterable[Solution]:
        for index in reversed(range(len(systems))):
            system = systems[index]
            for _ in range(self.extra_products + index):
                system.A @ system.b
            if not (self.drop and index == 1):
                yield Solution(index, spsolve(system.A.tocsc(), system.b) * (1 + self.error * (index == 0)))


def test_diffusion_is_second_order_accurate() -> None:
    """-div(K grad u) = f for u = sin(pi x) sin(pi y), K = 1 + x: the error falls fourfold as the grid doubles."""
    errors = []
    for grid in (16, 32):
        x = (np.arange(grid) + 0.5) / grid
        X, Y = np.meshgrid(x, x, indexing="ij")
        u = np.sin(np.pi * X) * np.sin(np.pi * Y)
        f = 2 * np.pi**2 * (1 + X) * u - np.pi * np.cos(np.pi * X) * np.sin(np.pi * Y)
        found = spsolve(diffusion_matrix(1 + X).tocsc(), f.ravel() / grid**2)
        errors.append(np.abs(found - u.ravel()).max())
    assert 3.3 < errors[0] / errors[1] < 4.7


@pytest.mark.parametrize("equation", sorted(EQUATIONS))
def test_systems_are_symmetric_and_differ(equation: str) -> None:
    first, second = draw_sequence(equation, 8, 2, np.random.default_rng(0))
    assert abs(first.A - first.A.T).max() < 1e-13
    assert abs(first.A - second.A).max() > 1e-3
    assert first.parameters.shape == (8, 8)
    assert first.A.nnz == 5 * 64 - 4 * 8


def test_darcy_is_definite_and_helmholtz_is_not() -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        assert np.linalg.eigvalsh(EQUATIONS["darcy"](12, rng).A.toarray()).min() > 0
        values = np.linalg.eigvalsh(helmholtz(12, rng).A.toarray())
        assert (values < 0).sum() == 1
        assert np.abs(values).min() * 144 > 2


def test_random_field_has_its_covariance() -> None:
    """Variance of each cosine mode over many samples; zero mean."""
    rng = np.random.default_rng(0)
    fields = np.stack([gaussian_random_field(16, rng) for _ in range(2000)])
    assert np.abs(fields.mean(axis=(1, 2))).max() < 1e-12
    x = (np.arange(16) + 0.5) / 16
    for p, q in ((1, 0), (1, 2), (3, 3)):
        norm = (np.sqrt(2) if p else 1) * (np.sqrt(2) if q else 1)
        mode = norm * np.cos(np.pi * p * x)[:, None] * np.cos(np.pi * q * x)[None, :]
        measured = np.var((fields * mode).mean(axis=(1, 2)))
        assert measured == pytest.approx(7**3 * (np.pi**2 * (p**2 + q**2) + 49) ** -2.5, rel=0.15)


def test_matrix_counts_columns_and_the_suite_does_not_count_its_own() -> None:
    system = draw_sequence("darcy", 8, 1, np.random.default_rng(0))[0]
    system.A @ system.b
    system.A @ np.ones((64, 5))
    system.A.dot(system.b)
    assert system.A.products == 7
    assert system.relative_residual(np.zeros(64)) == 1.0
    assert system.A.products == 7


def test_a_system_is_the_same_after_its_way_to_another_process() -> None:
    (system,) = draw_sequence("helmholtz", 8, 1, np.random.default_rng(0))
    system.A @ system.b
    arrived = System.read(unpacked(packed(system.plain())))
    assert abs(arrived.A - system.A).max() == 0
    assert arrived.A.indices.dtype == system.A.indices.dtype
    np.testing.assert_array_equal(arrived.b, system.b)
    np.testing.assert_array_equal(arrived.parameters, system.parameters)
    assert arrived.A.products == 0


def test_samples_stand_in_the_order_of_the_data() -> None:
    scores = evaluate(Exact())
    assert list(scores["iterations"].samples) == [0, 1, 2, 3]
    assert scores["iterations"].samples == scores["iterations-12"].samples
    assert list(scores["iterations_first_quarter"].samples) == [0]
    assert list(scores["iterations_last_quarter"].samples) == [3]
    assert set(scores) <= set(SUITE.scores)


def test_residual_is_the_worst_of_all_and_binds() -> None:
    limits = setting().point.limits
    for error, within in ((0.0, True), (1e-6, False), (np.nan, False)):
        scores = {name: score.value for name, score in evaluate(Exact(error)).items()}
        assert limits.met_by(scores) is within
        if not within:
            with pytest.raises(OverBudget, match="max_relative_residual"):
                limits.check_result(scores)
    assert evaluate(Exact(1e-6))["max_relative_residual"].value == pytest.approx(1e-6, rel=1e-3)


def test_a_missing_solution_is_an_error() -> None:
    with pytest.raises(ValueError, match="need one solution each"):
        evaluate(Exact(drop=True))


def test_a_solution_of_another_length_is_an_error() -> None:
    class Short(Exact):
        def solve(self, systems: Sequence[System]) -> Iterable[Solution]:
            for solution in super().solve(systems):
                yield Solution(solution.index, solution.x[:1])

    with pytest.raises(ValueError, match="64 unknowns"):
        evaluate(Short())


def timed(solver: SequenceSolver, workload: Workload, seed: int = 0) -> tuple[Any, str | None]:
    """The answer to the trial's only step, as it comes from another process, and what is wrong with it."""
    served = problem_of("darcy-none").serve(solver, make_task())
    (step,) = workload.trial(np.random.default_rng(seed))
    assert (step.phase, step.units) == ("solve", 4)
    assert step.check is not None
    with SideHere(served) as side:
        side.load([step])
        side.run()
        answer = unpacked(packed(side.result()))
        return answer, step.check(answer, served)


def test_timed_solutions_are_checked_too() -> None:
    for error, wrong in ((1e-6, True), (0.0, False)):
        _, found = timed(Exact(error), workloads()[0])
        assert ("relative residual" in str(found)) == wrong


def test_workloads_are_largest_first_and_fresh_from_the_rng() -> None:
    assert [workload.name for workload in workloads()] == ["darcy-12", "darcy-8"]
    for workload in workloads():
        assert f"{workload.name}.solve.ratio" in SUITE.costs
        firsts = [dict(timed(Exact(), workload, seed)[0])[0] for seed in (0, 0, 1)]
        np.testing.assert_array_equal(firsts[0], firsts[1])
        assert np.abs(firsts[0] - firsts[2]).max() > 1e-6


@pytest.mark.parametrize("scale", ["tiny", "embedded", "full"])
def test_every_score_and_cost_is_described(scale: str) -> None:
    for point in SUITE.points:
        info, exam = SUITE.problem_of(point), problem_of(point).exam(setting(point, scale=scale))
        names = [workload.name for workload in workloads(point, scale)]
        assert set(names) <= set(info.workloads)
        assert {f"{name}.solve{end}" for name in names for end in ("", ".ratio")} <= set(info.costs)
        assert {f"iterations-{grid}" for grid in exam.grids} <= set(info.scores)
        assert info.costs[f"{exam.equation}-{max(exam.grids)}.solve.ratio"].primary


def test_evaluation_is_the_same_for_every_seed_and_not_what_a_method_can_draw() -> None:
    seen: list[np.ndarray] = []

    class Spy(Exact):
        def solve(self, systems: Sequence[System]) -> Iterable[Solution]:
            seen.append(systems[0].parameters)
            return super().solve(systems)

    for seed in (0, 1):
        evaluate(Spy(), seed)
    np.testing.assert_array_equal(seen[0], seen[2])
    for seed in (0, 1):
        for system in make_task(seed=seed).calibration(8, 5):
            assert not any(np.array_equal(system.parameters, field) for field in seen if field.shape == (8, 8))


def test_the_exam_is_the_judges(monkeypatch: pytest.MonkeyPatch) -> None:
    exam = problem_of("darcy-none").exam(setting())
    monkeypatch.setattr("bench.contract.exam._closed", True)
    with pytest.raises(ExamRead, match="operator-data scores"):
        exam.sequence(8)


def test_calibration_is_metered() -> None:
    task = make_task()
    with pytest.raises(OverBudget, match="calibration_systems"):
        task.calibration(8, 65)
    task = make_task()
    task.calibration(8, 60)
    assert task.left("calibration_systems") == 4


def test_calibration_comes_from_the_seed_and_of_the_tasks_grids() -> None:
    one, more, other = (
        make_task().calibration(12, 1),
        make_task().calibration(12, 3),
        make_task(seed=1).calibration(12, 1),
    )
    np.testing.assert_array_equal(one[0].parameters, more[0].parameters)
    assert not np.array_equal(one[0].parameters, other[0].parameters)
    assert len(more) == 3
    with pytest.raises(ValueError, match="grid 9"):
        make_task().calibration(9, 1)


def test_solver_bytes_are_measured() -> None:
    """A solver that keeps 50 vectors more is 50 vectors heavier."""

    class Hoarder(Exact):
        def solve(self, systems: Sequence[System]) -> Iterable[Solution]:
            hoard = np.zeros((50, 144))
            yield from super().solve(systems)
            del hoard

    problem, task = problem_of("darcy-none"), make_task()
    lean, heavy, again = (
        problem.serve(candidate, task).figures()["solver_bytes"]
        for candidate in (Exact(extra_products=8), Hoarder(extra_products=8), Hoarder(extra_products=8))
    )
    assert heavy - lean == 50 * 144 * 8
    assert heavy == again
    assert Scale(problem, task, {}).weigh(Exact(extra_products=8))["solver_bytes"] == lean
