"""The suite's problems, its counting, and its scores."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pytest
from scipy.sparse.linalg import spsolve

from bench.contract import OverBudget
from bench.contract.registry import load
from suites.operator_data.problems import (
    PROBLEMS,
    diffusion_matrix,
    draw_sequence,
    gaussian_random_field,
    helmholtz,
)
from suites.operator_data.system import Solution, System

SUITE = load().suite("operator-data")


def make_task(point: str = "darcy-none", seed: int = 0) -> Any:
    return SUITE.task(scale="tiny", base="generated", point=SUITE.info.points[point], seed=seed, device="cpu")


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


@pytest.mark.parametrize("problem", sorted(PROBLEMS))
def test_systems_are_symmetric_and_differ(problem: str) -> None:
    first, second = draw_sequence(problem, 8, 2, np.random.default_rng(0))
    assert abs(first.A - first.A.T).max() < 1e-13
    assert abs(first.A - second.A).max() > 1e-3
    assert first.parameters.shape == (8, 8)
    assert first.A.nnz == 5 * 64 - 4 * 8


def test_darcy_is_definite_and_helmholtz_is_not() -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        assert np.linalg.eigvalsh(PROBLEMS["darcy"](12, rng).A.toarray()).min() > 0
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


def test_samples_stand_in_the_order_of_the_data() -> None:
    scores = {score.name: score for score in SUITE.evaluate(Exact(), make_task())}
    assert list(scores["iterations"].samples) == [0, 1, 2, 3]
    assert scores["iterations"].samples == scores["iterations-12"].samples
    assert list(scores["iterations_first_quarter"].samples) == [0]
    assert list(scores["iterations_last_quarter"].samples) == [3]
    assert set(scores) <= set(SUITE.info.scores)


def test_residual_is_the_worst_of_all_and_binds() -> None:
    task = make_task()
    for error, within in ((0.0, True), (1e-6, False), (np.nan, False)):
        scores = {score.name: score.value for score in SUITE.evaluate(Exact(error), task)}
        assert task.limits.met_by(scores) is within
        if not within:
            with pytest.raises(OverBudget, match="max_relative_residual"):
                task.limits.check_result(scores)
    assert {score.name: score.value for score in SUITE.evaluate(Exact(1e-6), task)}[
        "max_relative_residual"
    ] == pytest.approx(1e-6, rel=1e-3)


def test_a_missing_solution_is_an_error() -> None:
    with pytest.raises(ValueError, match="need one solution each"):
        SUITE.evaluate(Exact(drop=True), make_task())


def test_timed_solutions_are_checked_too() -> None:
    workload = SUITE.workloads(make_task())[0]
    for error, wrong in ((1e-6, True), (0.0, False)):
        (step,) = workload.trial(Exact(error), np.random.default_rng(0))
        assert step.check is not None
        assert ("relative residual" in str(step.check(step.run()))) == wrong


def test_workloads_are_largest_first_and_fresh_from_the_rng() -> None:
    task = make_task()
    workloads = SUITE.workloads(task)
    assert [workload.name for workload in workloads] == ["darcy-12", "darcy-8"]
    for workload in workloads:
        assert f"{workload.name}.solve.ratio" in SUITE.info.costs
        firsts = []
        for seed in (0, 0, 1):
            steps = list(workload.trial(Exact(), np.random.default_rng(seed)))
            assert [(step.phase, step.units) for step in steps] == [("solve", 4)]
            firsts.append(min(steps[0].run(), key=lambda solution: solution.index).x)
        np.testing.assert_array_equal(firsts[0], firsts[1])
        assert np.abs(firsts[0] - firsts[2]).max() > 1e-6


@pytest.mark.parametrize("scale", ["tiny", "embedded", "full"])
def test_every_score_and_cost_is_described(scale: str) -> None:
    for point in SUITE.info.points.values():
        task = SUITE.task(scale=scale, base="generated", point=point, seed=0, device="cpu")
        names = {f"{workload.name}.solve{end}" for workload in SUITE.workloads(task) for end in ("", ".ratio")}
        assert names <= set(SUITE.info.costs)
        assert {f"iterations-{grid}" for grid in task.grids} <= set(SUITE.info.scores)
        assert SUITE.info.costs[f"{task.problem}-{max(task.grids)}.solve.ratio"].primary


def test_evaluation_is_the_same_for_every_seed_and_not_what_a_method_can_draw() -> None:
    seen: list[np.ndarray] = []

    class Spy(Exact):
        def solve(self, systems: Sequence[System]) -> Iterable[Solution]:
            seen.append(systems[0].parameters)
            return super().solve(systems)

    for seed in (0, 1):
        SUITE.evaluate(Spy(), make_task(seed=seed))
    np.testing.assert_array_equal(seen[0], seen[2])
    for seed in (0, 1):
        task = make_task(seed=seed)
        for system in task.calibration(8, 5):
            assert not any(np.array_equal(system.parameters, field) for field in seen if field.shape == (8, 8))


def test_calibration_is_metered() -> None:
    with pytest.raises(OverBudget, match="calibration_systems"):
        list(make_task().calibration(8, 65))


def test_solver_bytes_are_measured() -> None:
    """A solver that keeps 50 vectors more is 50 vectors heavier."""

    class Hoarder(Exact):
        def solve(self, systems: Sequence[System]) -> Iterable[Solution]:
            hoard = np.zeros((50, 144))
            yield from super().solve(systems)
            del hoard

    task = make_task()
    lean, heavy, again = (
        SUITE.figures(candidate, task)["solver_bytes"]
        for candidate in (Exact(extra_products=8), Hoarder(extra_products=8), Hoarder(extra_products=8))
    )
    assert heavy - lean == 50 * 144 * 8
    assert heavy == again
    assert task.weigh(Exact(extra_products=8)) == {"solver_bytes": lean}
