"""GCRO-DR against its definition: residuals, invariants of the recycle space, harmonic Ritz vectors, edge cases."""

from typing import Any

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array, diags_array, random_array
from scipy.sparse.linalg import gmres

from methods._techniques.arnoldi import arnoldi_cycle, least_squares
from methods._techniques.gcro_dr import gcro_dr, harmonic_ritz, refresh
from suites.operator_data.equations import darcy, diffusion_matrix, helmholtz
from suites.operator_data.preconditioner import ILU, Identity, Jacobi, make_preconditioner

NONE = Identity(csr_array(np.eye(1)))


def sparse_system(n: int, seed: int) -> tuple[csr_array, np.ndarray]:
    """A nonsymmetric system, some eigenvalues complex, some of negative real part."""
    rng = np.random.default_rng(seed)
    A = random_array((n, n), density=min(1.0, 5 / n), rng=rng, data_sampler=rng.standard_normal)
    shift = np.where(rng.random(n) < 0.2, -4.0, 4.0) * (1 + rng.random(n))
    return csr_array(A + diags_array(shift)), rng.standard_normal(n)


def true_residual(A: csr_array, b: np.ndarray, x: np.ndarray) -> float:
    return float(np.linalg.norm(b - A @ x) / np.linalg.norm(b))


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 120),
    st.integers(0, 10_000),
    st.integers(0, 12),
    st.sampled_from(["none", "jacobi", "ilu"]),
    st.data(),
)
def test_every_system_of_a_sequence_meets_the_tolerance(n: int, seed: int, k: int, name: str, data: Any) -> None:
    directions = None
    m = k + data.draw(st.integers(1, 20), label="steps per cycle") + 10
    for number in range(3):
        A, b = sparse_system(n, seed + number)
        result = gcro_dr(A.__matmul__, b, make_preconditioner(name, A), tolerance=1e-9, m=m, k=k, directions=directions)
        assert true_residual(A, b, result.x) <= 1e-9
        directions = result.directions
        assert directions is None or directions.shape[1] <= k


@pytest.mark.parametrize("k", [0, 6])
def test_first_cycle_is_gmres(k: int) -> None:
    A, b = sparse_system(80, 1)
    m = 15
    history: list[float] = []
    gmres(A, b, rtol=1e-14, restart=m, maxiter=1, callback=history.append, callback_type="pr_norm")
    result = gcro_dr(A.__matmul__, b, NONE, tolerance=1e-14, m=m, k=k, max_products=m)
    np.testing.assert_allclose(np.array(result.residuals[:m]) / np.linalg.norm(b), history[:m], rtol=1e-8)


def test_gmres_takes_the_products_of_the_library() -> None:
    system = darcy(16, np.random.default_rng(0))
    history: list[float] = []
    gmres(
        csr_array(system.A),
        system.b,
        rtol=1e-8,
        restart=20,
        maxiter=50,
        callback=history.append,
        callback_type="pr_norm",
    )
    ours = gcro_dr(system.A.__matmul__, system.b, NONE, tolerance=1e-8, m=20, k=0)
    assert len(ours.residuals) == len(history) + 1  # ours checks the true residual once, at the end


def test_residual_estimates_are_the_residuals_of_the_space() -> None:
    A, b = sparse_system(60, 2)
    C = np.linalg.qr(np.random.default_rng(0).standard_normal((60, 4)))[0]
    r = b - C @ (C.T @ b)
    cycle = arnoldi_cycle(A.__matmul__, r, C, 8, 0.0)
    projected = A.toarray() - C @ (C.T @ A.toarray())
    for steps in range(1, 9):
        V = cycle.W[:, 4 : 4 + steps]
        best = r - projected @ V @ np.linalg.lstsq(projected @ V, r, rcond=None)[0]
        assert cycle.residuals[steps - 1] == pytest.approx(np.linalg.norm(best), rel=1e-8)


@settings(max_examples=25, deadline=None)
@given(st.integers(5, 60), st.integers(0, 10_000), st.integers(0, 4))
def test_arnoldi_relation_and_orthonormality(n: int, seed: int, k: int) -> None:
    A, b = sparse_system(n, seed)
    C = np.linalg.qr(np.random.default_rng(seed).standard_normal((n, k)))[0]
    cycle = arnoldi_cycle(A.__matmul__, b - C @ (C.T @ b), C, min(10, n - k), 0.0)
    V = cycle.W[:, k:-1]
    np.testing.assert_allclose(A @ V, cycle.W @ cycle.G, atol=1e-11 * np.abs(A).max())
    gram = cycle.W.T @ cycle.W
    lengths = np.ones(len(gram))
    lengths[-1] = gram[-1, -1]  # zero after a breakdown
    assert lengths[-1] == pytest.approx(1.0) or not cycle.W[:, -1].any()
    np.testing.assert_allclose(gram, np.diag(lengths), atol=1e-12)


def dense_harmonic_ritz(A: np.ndarray, V: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(A V)^T (A V) z = theta (A V)^T V z by the dense generalised solver: values by size, vectors V z."""
    AV = A @ V
    values, z = scipy.linalg.eig(AV.T @ AV, AV.T @ V)
    order = np.argsort(np.abs(values))
    return values[order], V @ z[:, order]


@pytest.mark.parametrize("name", ["none", "jacobi"])
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("k", [3, 4, 5])
def test_recycled_directions_are_the_harmonic_ritz_vectors(seed: int, k: int, name: str) -> None:
    """Of A M^-1, brought to the space of x. Of complex pairs the real span, and never half of a pair."""
    A, b = sparse_system(40, seed)
    M = make_preconditioner(name, A)
    m = 14
    result = gcro_dr(A.__matmul__, b, M, tolerance=1e-15, m=m, k=k, max_products=m)
    krylov = arnoldi_cycle(lambda v: A @ M.solve(v), b, np.zeros((40, 0)), m, 0.0).W[:, :m]
    values, vectors = dense_harmonic_ritz(A @ M.solve(np.eye(40)), krylov)
    vectors = M.solve(vectors)
    whole = k - 1 if values[k - 1].imag != 0 and abs(values[k - 1] - values[k].conj()) < 1e-8 * abs(values[k]) else k
    assert result.directions is not None
    assert result.directions.shape[1] == whole
    wanted = np.hstack([vectors[:, :whole].real, vectors[:, :whole].imag])
    angles = scipy.linalg.subspace_angles(result.directions, scipy.linalg.orth(wanted, rcond=1e-8))
    assert angles.max() < 1e-5


def test_directions_after_a_deflated_cycle_are_harmonic_ritz_vectors_of_the_whole_search_space() -> None:
    A, b = sparse_system(60, 3)
    first = gcro_dr(A.__matmul__, b, NONE, tolerance=1e-15, m=14, k=5, max_products=14)
    assert first.directions is not None
    space = refresh(A.__matmul__, NONE, first.directions)
    result = gcro_dr(A.__matmul__, b, NONE, tolerance=1e-15, m=14, k=5, directions=first.directions, max_products=6)
    r = b - space.C @ (space.C.T @ b)
    steps = 14 - space.U.shape[1]
    cycle = arnoldi_cycle(A.__matmul__, r, space.C, steps, 0.0)
    search = np.linalg.qr(np.hstack([space.U, cycle.W[:, space.U.shape[1] : -1]]))[0]
    _, vectors = dense_harmonic_ritz(A.toarray(), search)
    assert result.directions is not None
    count = result.directions.shape[1]
    wanted = scipy.linalg.orth(np.hstack([vectors[:, :count].real, vectors[:, :count].imag]), rcond=1e-8)
    assert scipy.linalg.subspace_angles(result.directions, wanted).max() < 1e-5


@pytest.mark.parametrize("name", ["none", "jacobi", "ilu"])
def test_refreshed_space_maps_onto_orthonormal_columns(name: str) -> None:
    old, new = helmholtz(12, np.random.default_rng(0)), helmholtz(12, np.random.default_rng(1))
    directions = gcro_dr(
        old.A.__matmul__, old.b, make_preconditioner(name, old.A), tolerance=1e-8, m=30, k=10
    ).directions
    assert directions is not None
    M = make_preconditioner(name, new.A)
    space = refresh(new.A.__matmul__, M, directions)
    np.testing.assert_allclose(space.C.T @ space.C, np.eye(10), atol=1e-12)
    image = new.A @ M.solve(space.U)
    np.testing.assert_allclose(image, space.C, atol=1e-9)
    assert scipy.linalg.subspace_angles(M.solve(space.U), directions).max() < 1e-6


def test_dependent_directions_are_dropped() -> None:
    A, _ = sparse_system(30, 0)
    Z = np.random.default_rng(0).standard_normal((30, 4))
    Z[:, 2] = Z[:, 0] - 2 * Z[:, 1]
    space = refresh(A.__matmul__, NONE, Z)
    assert space.U.shape == (30, 3)
    np.testing.assert_allclose(A @ space.U, space.C, atol=1e-10)


def test_same_system_again_takes_far_fewer_products() -> None:
    system = darcy(24, np.random.default_rng(0))
    first = gcro_dr(system.A.__matmul__, system.b, NONE, tolerance=1e-8, m=40, k=20)
    again = gcro_dr(system.A.__matmul__, system.b, NONE, tolerance=1e-8, m=40, k=20, directions=first.directions)
    making_the_space_anew = 20
    assert len(again.residuals) - making_the_space_anew < 0.55 * len(first.residuals)


def test_least_squares_of_dependent_columns_is_finite() -> None:
    G = np.array([[1.0, 2.0], [2.0, 4.0], [0.0, 0.0]])
    found = least_squares(G, np.array([[5.0], [10.0], [1.0]]))
    np.testing.assert_allclose(found[:, 0], [1.0, 2.0])


def test_counts_every_product() -> None:
    systems = [helmholtz(16, np.random.default_rng(seed)) for seed in range(3)]
    directions = None
    for system in systems:
        M = make_preconditioner("ilu", system.A)
        result = gcro_dr(system.A.__matmul__, system.b, M, tolerance=1e-7, m=20, k=8, directions=directions)
        directions = result.directions
        assert len(result.residuals) == system.A.products


def test_zero_right_hand_side() -> None:
    A, b = sparse_system(20, 0)
    directions = np.random.default_rng(0).standard_normal((20, 3))
    result = gcro_dr(A.__matmul__, 0 * b, NONE, tolerance=1e-8, m=10, k=3, directions=directions)
    assert not result.x.any()
    assert result.residuals == []
    assert result.directions is directions


def test_identity_breaks_down_at_once() -> None:
    b = np.arange(1.0, 9.0)
    result = gcro_dr(lambda v: v, b, NONE, tolerance=1e-12, m=6, k=3)
    np.testing.assert_allclose(result.x, b)
    assert result.directions is not None
    assert result.directions.shape[1] == 1  # a cycle of one step has no more to give than one direction


def test_singular_system_ends_with_what_can_be_reached() -> None:
    A = np.diag([1.0, 2.0, 3.0, 0.0])
    result = gcro_dr(A.__matmul__, np.ones(4), NONE, tolerance=1e-10, m=4, k=2)
    assert len(result.residuals) < 50
    assert np.isfinite(result.x).all()


def test_stops_at_the_allowed_products() -> None:
    system = darcy(24, np.random.default_rng(0))
    result = gcro_dr(system.A.__matmul__, system.b, NONE, tolerance=1e-12, m=10, k=0, max_products=25)
    assert len(result.residuals) <= 25 + 10 + 1
    assert system.relative_residual(result.x) > 1e-12


def test_k_must_leave_room() -> None:
    with pytest.raises(ValueError, match="fewer than the m = 5"):
        gcro_dr(lambda v: v, np.ones(3), NONE, tolerance=1e-8, m=5, k=5)


def test_harmonic_ritz_keeps_pairs_whole() -> None:
    """A rotation has one complex pair and nothing else: with room for one vector nothing is kept."""
    A = np.array([[0.0, -1.0], [1.0, 0.0]])
    cycle = arnoldi_cycle(A.__matmul__, np.array([1.0, 0.5]), np.zeros((2, 0)), 2, 0.0)
    overlap = np.eye(3, 2)
    assert harmonic_ritz(cycle.G, overlap, 1).shape == (2, 0)
    assert harmonic_ritz(cycle.G, overlap, 2).shape == (2, 2)


@pytest.mark.parametrize("kind", [Jacobi, ILU])
@pytest.mark.parametrize("columns", [None, 3])
def test_preconditioner_multiplies_by_what_it_solves(kind: type[Jacobi] | type[ILU], columns: int | None) -> None:
    rng = np.random.default_rng(0)
    M = kind(diffusion_matrix(1 + rng.random((9, 9))))
    v = rng.standard_normal(81 if columns is None else (81, columns))
    np.testing.assert_allclose(M.solve(M.multiply(v)), v, rtol=1e-9)
