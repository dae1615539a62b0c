"""GCRO-DR(m, k): GMRES with deflated restarts, whose deflation space is recycled from system to system.

Parks, de Sturler, Mackey, Johnson, Maiti, "Recycling Krylov subspaces for sequences of linear systems" (SIAM J. Sci.
Comput. 28, 2006), section 2 and the appendix; harmonic Ritz vectors as in Morgan's GMRES-DR (2002). With k = 0 it is
GMRES(m). The preconditioner stands on the right, so the residual that the method minimises is the true one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from methods._techniques.arnoldi import Array, Operator, arnoldi_cycle, least_squares


class Preconditioner(Protocol):
    """M: both take and give a vector (n,) or columns (n, k)."""

    def solve(self, v: Array) -> Array: ...

    def multiply(self, v: Array) -> Array: ...


@dataclass(frozen=True)
class RecycleSpace:
    """U, C: (n, k) with A M^-1 U = C, and C^T C = I, for the system that they were made for."""

    U: Array
    C: Array


@dataclass(frozen=True)
class Solve:
    """x: (n,). directions: (n, up to k), what to hand to the next system, or None. residuals: norm of the residual
    after each product, as the method knows it; as many as there were products."""

    x: Array
    directions: Array | None
    residuals: list[float]


def gcro_dr(
    A: Callable[[Array], Array],
    b: Array,
    preconditioner: Preconditioner,
    *,
    tolerance: float,
    m: int,
    k: int,
    directions: Array | None = None,
    max_products: int = 100_000,
) -> Solve:
    """Solve A x = b to ||b - A x|| <= tolerance ||b||, checked with A at the end and not by recurrence alone.

    A: product with a vector (n,) or with columns (n, k). m: columns of the search space of one cycle, the k recycled
    ones among them. directions: those of the system before, or None. They are kept in the space of x (M^-1 U), not in
    that of the preconditioned unknown: slow modes of the physics outlast a change of M. Gives back the last iterate
    if max_products were not enough.
    """
    if not 0 <= k < m:
        raise ValueError(f"k = {k} recycled directions must be fewer than the m = {m} of a cycle")

    def operator(v: Array) -> Array:
        return A(preconditioner.solve(v))

    b_norm = float(np.linalg.norm(b))
    if b_norm == 0.0:
        return Solve(np.zeros_like(b), directions, [])
    target = tolerance * b_norm
    y = np.zeros_like(b)  # x = M^-1 y
    r = b
    space: RecycleSpace | None = None
    residuals: list[float] = []
    checked = b_norm
    if directions is not None:
        space = refresh(A, preconditioner, directions)
        residuals += [b_norm] * directions.shape[1]
    while True:
        if space is not None:
            shares = space.C.T @ r
            y = y + space.U @ shares
            r = r - space.C @ shares
        while (norm := float(np.linalg.norm(r))) > target and len(residuals) < max_products:
            step, r, space, history = _cycle(operator, r, space, m, k, target)
            y = y + step
            residuals += history
            if history[-1] == 0.0 and float(np.linalg.norm(r)) > 0.5 * norm:
                break  # the search space became invariant without holding the solution: A is singular to rounding
        x = preconditioner.solve(y)
        r = b - A(x)
        checked, before = float(np.linalg.norm(r)), checked
        residuals.append(checked)
        stagnated = not checked <= 0.5 * before
        if checked <= tolerance * b_norm or stagnated or len(residuals) >= max_products:
            return Solve(x, None if space is None else preconditioner.solve(space.U), residuals)
        target *= 0.5  # rounding hid a part of the residual from the recurrence


def refresh(A: Callable[[Array], Array], preconditioner: Preconditioner, directions: Array) -> RecycleSpace:
    """The recycle space that the directions Z (n, k) make for a new A: A Z = C R, U = M Z R^-1; k products.

    Directions that A maps to (nearly) a combination of the others are dropped.
    """
    AZ = A(directions)
    C, R = np.linalg.qr(AZ)
    pivots = np.abs(np.diag(R))
    if pivots.min() <= 1e-12 * pivots.max():
        kept = _independent(R)
        directions, (C, R) = directions[:, kept], np.linalg.qr(AZ[:, kept])
    return RecycleSpace(preconditioner.multiply(np.linalg.solve(R.T, directions.T).T), C)


def _independent(R: Array) -> list[int]:
    """Columns of R that are not, to 1e-12, combinations of those before them."""
    kept: list[int] = []
    scale = np.linalg.norm(R, axis=0).max()
    basis = np.zeros((R.shape[0], 0))
    for column in range(R.shape[1]):
        rest = R[:, column] - basis @ (basis.T @ R[:, column])
        rest -= basis @ (basis.T @ rest)
        norm = np.linalg.norm(rest)
        if norm > 1e-12 * scale:
            kept.append(column)
            basis = np.column_stack([basis, rest / norm])
    return kept


def _cycle(
    operator: Operator, r: Array, space: RecycleSpace | None, m: int, k: int, target: float
) -> tuple[Array, Array, RecycleSpace | None, list[float]]:
    """One cycle: the step in y, the residual after it, the new recycle space, the residual after each product."""
    if space is None:
        U = C = np.zeros((len(r), 0))
    else:
        U, C = space.U, space.C
    recycled = U.shape[1]
    lengths = np.linalg.norm(U, axis=0)
    arnoldi = arnoldi_cycle(operator, r, C, m - recycled, target)
    W, V, steps = arnoldi.W, arnoldi.W[:, recycled:-1], arnoldi.steps

    # op([U / lengths, V]) = W G: the scaling gives all columns of the search space norm 1.
    G = np.zeros((recycled + steps + 1, recycled + steps))
    G[range(recycled), range(recycled)] = 1.0 / lengths
    G[:, recycled:] = arnoldi.G
    z = least_squares(G, (W.T @ r)[:, None])[:, 0]
    step = U @ (z[:recycled] / lengths) + V @ z[recycled:]
    r = r - W @ (G @ z)

    if k > 0:
        overlap = np.zeros_like(G)  # W^T [U / lengths, V]
        overlap[:, :recycled] = (W.T @ U) / lengths
        overlap[range(recycled, recycled + steps), range(recycled, recycled + steps)] = 1.0
        P = harmonic_ritz(G, overlap, k)
        Q, R = np.linalg.qr(G @ P)
        coordinates = np.linalg.solve(R.T, P.T).T
        U_new = U @ (coordinates[:recycled] / lengths[:, None]) + V @ coordinates[recycled:]
        space = RecycleSpace(U_new, W @ Q) if P.shape[1] else None
    return step, r, space, arnoldi.residuals


def harmonic_ritz(G: Array, overlap: Array, k: int) -> Array:
    """Orthonormal basis of the span of the harmonic Ritz vectors of the k smallest Ritz values, in coordinates.

    Solves G^T G z = theta G^T (W^T V) z (Parks et al., eq. 2.14; G: (l + 1, l), overlap = W^T V: (l + 1, l)) through
    pinv(G) overlap z = z / theta. Returns (l, at most k). A complex pair counts as the two real vectors Re z, Im z;
    one that would be cut in half by k is left out, so that the span stays real and invariant under conjugation.
    """
    inverse_values, vectors = np.linalg.eig(least_squares(G, overlap))
    columns: list[Array] = []
    # Of a conjugate pair only the half with positive imaginary part is visited.
    for index in np.argsort(-np.abs(inverse_values), kind="stable"):
        value, vector = inverse_values[index], vectors[:, index]
        if value.imag < 0:
            continue
        pair = [vector.real, vector.imag] if value.imag > 0 else [vector.real]
        if len(columns) + len(pair) > k:
            break
        columns += pair
    if not columns:
        return np.zeros((G.shape[1], 0))
    return np.linalg.qr(np.column_stack(columns))[0]
