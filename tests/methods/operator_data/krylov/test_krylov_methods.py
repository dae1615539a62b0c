"""Sorting, and the methods as candidates of the suite."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.contract.registry import configured, load
from methods._techniques.greedy_walk import greedy_order
from methods.operator_data.krylov.gmres import Gmres
from methods.operator_data.krylov.recycling import Recycling
from methods.operator_data.krylov.skr import Skr
from suites.operator_data.problems import draw_sequence
from suites.operator_data.system import System

SUITE = load().suite("operator-data")
METHODS = [(name, v) for name in ("gmres", "gcrot", "recycling", "skr") for v in load().method(name).variants]


def task(point: str = "darcy-jacobi") -> Any:
    return SUITE.task(scale="tiny", base="generated", point=SUITE.info.points[point], seed=0, device="cpu")


def nearest_neighbour_walk(fields: np.ndarray) -> list[int]:
    order, left = [0], list(range(1, len(fields)))
    while left:
        nearest = min(left, key=lambda i: np.linalg.norm(fields[order[-1]] - fields[i]))
        left.remove(nearest)
        order.append(nearest)
    return order


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 30), st.integers(0, 10_000), st.integers(1, 40), st.sampled_from([0.0, 1e7]))
def test_greedy_order_is_the_brute_force_walk(length: int, seed: int, group: int, offset: float) -> None:
    fields = np.random.default_rng(seed).standard_normal((length, 3, 4)) + offset
    assert greedy_order(list(fields)) == nearest_neighbour_walk(fields)
    assert sorted(greedy_order(list(fields), group)) == list(range(length))


def test_groups_are_walked_from_where_the_last_one_ended() -> None:
    fields = [np.full((1, 1), value) for value in (0.0, 3.0, 1.0, 2.0, 9.0, 3.5)]
    assert greedy_order(fields, group=3) == [0, 2, 1, 5, 3, 4]


def test_no_fields_have_an_empty_order() -> None:
    assert greedy_order([]) == []


@pytest.mark.parametrize(("name", "variant"), METHODS)
@pytest.mark.parametrize("point", sorted(SUITE.info.points))
def test_every_solution_stands_under_its_own_index(name: str, variant: str, point: str) -> None:
    now = task(point)
    systems = draw_sequence(now.problem, 10, 7, np.random.default_rng(0))
    candidate = configured(load().method(name), variant).build(now, now.limits)
    solutions = list(candidate.solve(systems))
    assert sorted(solution.index for solution in solutions) == list(range(7))
    for solution in solutions:
        assert systems[solution.index].relative_residual(solution.x) <= now.tolerance * 1.01


@pytest.mark.parametrize(("name", "variant"), METHODS)
def test_nothing_is_carried_from_one_sequence_to_the_next(name: str, variant: str) -> None:
    now = task()
    candidate = configured(load().method(name), variant).build(now, now.limits)
    counts = []
    for _ in range(2):
        systems = draw_sequence("darcy", 10, 3, np.random.default_rng(0))
        list(candidate.solve(systems))
        counts.append([system.A.products for system in systems])
    assert counts[0] == counts[1]


def products(method: Any, systems: list[System]) -> float:
    now = task("darcy-none")
    list(method.build(now, now.limits).solve(systems))
    return float(np.mean([system.A.products for system in systems]))


@pytest.mark.parametrize("name", ["gmres", "gcrot"])
def test_controls_solve_every_system_on_its_own(name: str) -> None:
    now = task("helmholtz-none")
    first, second, alone = (
        draw_sequence("helmholtz", 16, 2, np.random.default_rng(0))
        + draw_sequence("helmholtz", 16, 2, np.random.default_rng(0))[1:]
    )
    candidate = load().method(name)().build(now, now.limits)
    list(candidate.solve([first, second]))
    list(candidate.solve([alone]))
    assert second.A.products == alone.A.products > 0


def test_recycling_beats_gmres() -> None:
    def draw() -> list[System]:
        return draw_sequence("darcy", 32, 4, np.random.default_rng(0))

    assert products(Recycling(), draw()) < 0.7 * products(Gmres(), draw())


def test_skr_solves_neighbours_one_after_the_other() -> None:
    """Two interleaved families of equal systems: sorted, each family is solved in one go."""
    a, b = draw_sequence("darcy", 10, 2, np.random.default_rng(0))
    now = task("darcy-none")
    solver = Skr().build(now, now.limits)
    assert [solution.index for solution in solver.solve([a, b, a, b, a])] == [0, 2, 4, 1, 3]
