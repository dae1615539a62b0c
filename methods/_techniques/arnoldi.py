"""One Arnoldi cycle, deflated or not: the kernel that GMRES(m) and GCRO-DR share; they differ in the idea alone."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Operator = Callable[[Array], Array]

_BREAKDOWN = 1e-14
"""A new direction smaller than this part of the vector that it came from is rounding: the space is invariant."""


@dataclass(frozen=True)
class ArnoldiCycle:
    """The relation  op(V) = W G[:, k:],  W = [C, V, v_last]  after j steps, C of k columns.

    W: (n, k + j + 1) with orthonormal columns (the last is zero after a breakdown). G: (k + j + 1, j), upper
    Hessenberg below its first k rows. residuals: j estimates of the residual norm, one after each step.
    """

    W: Array
    G: Array
    residuals: list[float]

    @property
    def steps(self) -> int:
        return self.G.shape[1]


def arnoldi_cycle(operator: Operator, r: Array, C: Array, steps: int, target: float) -> ArnoldiCycle:
    """Up to `steps` steps of Arnoldi with the operator (I - C C^T) op from r, one product each.

    r: (n,), nonzero, orthogonal to C. C: (n, k) with orthonormal columns, k may be 0. Stops early once the residual
    norm that the space allows is at most `target`, or at a breakdown (the space then holds the solution).
    Orthogonalisation is classical Gram-Schmidt done twice: as stable as modified, but matrix-vector products.
    """
    n, k = C.shape
    W = np.empty((n, k + steps + 1), order="F")
    W[:, :k] = C
    beta = float(np.linalg.norm(r))
    W[:, k] = r / beta
    G = np.zeros((k + steps + 1, steps))
    residuals: list[float] = []
    # q spans the left null space of the Hessenberg matrix, q[0] = 1: the least-squares residual is beta / ||q||. It
    # grows by one entry a step, which is cheaper than the usual plane rotations.
    q = np.zeros(steps + 1)
    q[0] = 1.0
    for j in range(steps):
        basis = W[:, : k + j + 1]
        w = operator(W[:, k + j])
        before = np.linalg.norm(w)
        h = basis.T @ w
        w = w - basis @ h
        correction = basis.T @ w
        w -= basis @ correction
        h += correction
        G[: k + j + 1, j] = h
        norm = float(np.linalg.norm(w))
        if norm <= _BREAKDOWN * before:
            W[:, k + j + 1] = 0.0
            residuals.append(0.0)
            return _cut(W, G, residuals, k)
        G[k + j + 1, j] = norm
        np.multiply(w, 1.0 / norm, out=W[:, k + j + 1])
        q[j + 1] = -(q[: j + 1] @ h[k:]) / norm
        residuals.append(beta / float(np.linalg.norm(q[: j + 2])))
        if residuals[-1] <= target:
            break
    return _cut(W, G, residuals, k)


def _cut(W: Array, G: Array, residuals: list[float], k: int) -> ArnoldiCycle:
    steps = len(residuals)
    return ArnoldiCycle(W[:, : k + steps + 1], G[: k + steps + 1, :steps], residuals)


def least_squares(G: Array, B: Array) -> Array:
    """argmin ||G Y - B|| column by column, for a tall dense G of a few dozen columns; (columns of G, columns of B)."""
    Q, R = np.linalg.qr(G)
    pivots = np.abs(np.diag(R))
    if pivots.min() <= 1e-14 * pivots.max():
        return np.asarray(np.linalg.lstsq(G, B, rcond=None)[0])
    return np.asarray(np.linalg.solve(R, Q.T @ B))
