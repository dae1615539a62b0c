"""Sorting, and the methods as candidates of the suite."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.contract import Setting
from bench.registry import open_registry
from bench.registry.registry import load_problem
from bench.run import artefact
from methods._techniques.greedy_walk import greedy_order
from methods.operator_data.krylov import _sequence
from methods.operator_data.krylov.gcrot import Gcrot
from methods.operator_data.krylov.gmres import Gmres
from methods.operator_data.krylov.recycling import Recycling
from methods.operator_data.krylov.skr import Skr
from suites.operator_data.equations import draw_sequence
from suites.operator_data.system import SequenceSolver, System
from suites.operator_data.task import OperatorTask

SUITE = open_registry().suite("operator-data")
LISTED = open_registry().methods_of("operator-data")
METHODS = [(name, v) for name in ("gmres", "gcrot", "recycling", "skr") for v in LISTED[name].variants]


def task(point: str = "darcy-jacobi") -> OperatorTask:
    problem = load_problem(SUITE, SUITE.points[point].problem)
    found: OperatorTask = problem.task_at_hand(Setting("tiny", "generated", SUITE.points[point], 0))
    return found


def solver(name: str, variant: str, now: OperatorTask) -> SequenceSolver:
    found: SequenceSolver = LISTED[name].configured(variant).build(now)
    return found


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
@pytest.mark.parametrize("point", sorted(SUITE.points))
def test_every_solution_stands_under_its_own_index(name: str, variant: str, point: str) -> None:
    now = task(point)
    systems = draw_sequence(now.equation, 10, 7, np.random.default_rng(0))
    solutions = list(solver(name, variant, now).solve(systems))
    assert sorted(solution.index for solution in solutions) == list(range(7))
    for solution in solutions:
        assert systems[solution.index].relative_residual(solution.x) <= now.tolerance * 1.01


@pytest.mark.parametrize(("name", "variant"), METHODS)
def test_nothing_is_carried_from_one_sequence_to_the_next(name: str, variant: str) -> None:
    candidate = solver(name, variant, task())
    counts = []
    for _ in range(2):
        systems = draw_sequence("darcy", 10, 3, np.random.default_rng(0))
        list(candidate.solve(systems))
        counts.append([system.A.products for system in systems])
    assert counts[0] == counts[1]


@pytest.mark.parametrize(("name", "variant"), METHODS)
def test_what_is_shipped_solves_as_what_was_built(name: str, variant: str, tmp_path: Path) -> None:
    built = solver(name, variant, task("darcy-ilu"))
    artefact.write(built, tmp_path / "candidate.pt")
    systems = draw_sequence("darcy", 10, 3, np.random.default_rng(0))
    expected = {solution.index: solution.x for solution in built.solve(systems)}
    for solution in artefact.read(tmp_path / "candidate.pt", "cpu").solve(systems):
        np.testing.assert_array_equal(solution.x, expected[solution.index])


def products(method: Any, systems: list[System]) -> float:
    list(method.build(task("darcy-none")).solve(systems))
    return float(np.mean([system.A.products for system in systems]))


@pytest.mark.parametrize("name", ["gmres", "gcrot"])
def test_controls_solve_every_system_on_its_own(name: str) -> None:
    first, second, alone = (
        draw_sequence("helmholtz", 16, 2, np.random.default_rng(0))
        + draw_sequence("helmholtz", 16, 2, np.random.default_rng(0))[1:]
    )
    candidate = solver(name, "default", task("helmholtz-none"))
    list(candidate.solve([first, second]))
    list(candidate.solve([alone]))
    assert second.A.products == alone.A.products > 0


def test_recycling_beats_the_same_solver_without() -> None:
    def draw() -> list[System]:
        return draw_sequence("darcy", 32, 4, np.random.default_rng(0))

    assert products(Recycling(), draw()) < 0.7 * products(Gmres(), draw())
    assert products(Recycling(solver="gcrot"), draw()) < 0.9 * products(Gcrot(), draw())


def test_skr_solves_neighbours_one_after_the_other() -> None:
    """Two interleaved families of equal systems: sorted, each family is solved in one go."""
    a, b = draw_sequence("darcy", 10, 2, np.random.default_rng(0))
    found = Skr().build(task("darcy-none"))
    assert [solution.index for solution in found.solve([a, b, a, b, a])] == [0, 2, 4, 1, 3]


def test_skr_goes_by_the_whole_field() -> None:
    """Not by its corner, nor its mean, by which the chequered field would be next."""
    chequered = np.indices((10, 10)).sum(0) % 2 * 2.0 - 1
    chequered[0, 0] = 0
    fields = np.zeros((10, 10)), chequered, np.full((10, 10), 0.2)
    systems = draw_sequence("darcy", 10, 3, np.random.default_rng(0))
    found = Skr().build(task("darcy-none"))
    given = [replace(system, parameters=field) for system, field in zip(systems, fields, strict=True)]
    assert [solution.index for solution in found.solve(given)] == [0, 2, 1]


def test_skr_recycles_from_each_system_to_the_next_in_its_order() -> None:
    def draw() -> list[System]:
        return draw_sequence("darcy", 32, 5, np.random.default_rng(0))

    order = greedy_order([system.parameters for system in draw()])
    assert order != list(range(5))
    found = products(Skr(), draw())
    assert found == products(Recycling(), [draw()[index] for index in order])
    assert found < 0.8 * products(Gmres(), draw())


@pytest.mark.parametrize(("name", "variant"), METHODS)
def test_each_method_takes_the_preconditioner_of_its_problem(
    name: str, variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken, make = [], _sequence.make_preconditioner
    monkeypatch.setattr(_sequence, "make_preconditioner", lambda kind, A: taken.append(kind) or make(kind, A))
    for point in ("darcy-jacobi", "darcy-ilu"):
        list(solver(name, variant, task(point)).solve(draw_sequence("darcy", 10, 2, np.random.default_rng(0))))
    assert taken == ["jacobi"] * 2 + ["ilu"] * 2
