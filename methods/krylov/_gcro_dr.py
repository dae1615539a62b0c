"""GCRO-DR(m, k): GMRES with deflated restarts, whose deflation space is recycled from system to system.

Parks, de Sturler, Mackey, Johnson, Maiti, "Recycling Krylov subspaces for sequences of linear systems" (SIAM J. Sci.
Comput. 28, 2006), section 2 and the appendix; harmonic Ritz vectors as in Morgan's GMRES-DR (2002). With k = 0 it is
GMRES(m). The preconditioner stands on the right, so the residual that the method minimises is the true one.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from methods.krylov._arnoldi import Array, Operator, arnoldi_cycle, least_squares


@dataclass(frozen=True)
class RecycleSpace:
    """U, C: (n, k) with op(U) = C, and C^T C = I, for the system that they were made for."""

    U: Array
    C: Array


@dataclass(frozen=True)
class Solve:
    """x: (n,). space: what to hand to the next system. residuals: norm after each product, as the method knows it."""

    x: Array
    space: RecycleSpace | None
    residuals: list[float]


def gcro_dr(
    A: Operator,
    b: Array,
    precondition: Operator,
    *,
    tolerance: float,
    m: int,
    k: int,
    space: RecycleSpace | None = None,
    max_products: int = 100_000,
) -> Solve:
    """Solve A x = b to ||b - A x|| <= tolerance ||b||, checked with A at the end and not by recurrence alone.

    A: product with a vector (n,) or with columns (n, k). precondition: applies M^-1 to the same. m: columns of the
    search space of one cycle, the k recycled ones among them. space: of the system before, or None. Gives back the
    last iterate if max_products were not enough.
    """

    def operator(v: Array) -> Array:
        return A(precondition(v))

    b_norm = float(np.linalg.norm(b))
    if b_norm == 0.0:
        return Solve(np.zeros_like(b), space, [])
    target = tolerance * b_norm
    y = np.zeros_like(b)  # x = M^-1 y
    r = b
    residuals: list[float] = []
    if space is not None:
        space = refresh(operator, space.U)
        residuals += [b_norm] * space.U.shape[1]
    while True:
        if space is not None:
            shares = space.C.T @ r
            y = y + space.U @ shares
            r = r - space.C @ shares
        while (norm := float(np.linalg.norm(r))) > target and len(residuals) < max_products:
            step, r, space, history = _cycle(operator, r, space, m, k, target)
            y = y + step
            residuals += history
            if float(np.linalg.norm(r)) >= norm and len(history) < m - k:
                break  # the space became invariant and does not hold the solution: A is singular to rounding
        x = precondition(y)
        r = b - A(x)
        norm = float(np.linalg.norm(r))
        residuals.append(norm)
        if norm <= tolerance * b_norm or len(residuals) >= max_products or not np.isfinite(norm):
            return Solve(x, space, residuals)
        target *= 0.5  # rounding hid a part of the residual from the recurrence


def refresh(operator: Operator, U: Array) -> RecycleSpace:
    """The space for another operator: op(U) = C R, U R^-1; directions that op maps to (nearly) the same are dropped."""
    AU = operator(U)
    C, R = np.linalg.qr(AU)
    pivots = np.abs(np.diag(R))
    if pivots.min() <= 1e-12 * pivots.max():
        kept = _independent(R)
        U, (C, R) = U[:, kept], np.linalg.qr(AU[:, kept])
    return RecycleSpace(np.linalg.solve(R.T, U.T).T, C)


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


