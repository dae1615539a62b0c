"""The preconditioners of the problems: the same for every method, made anew for every system."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array
from scipy.sparse.linalg import spilu

ILU_DROP_TOLERANCE = 1e-2
ILU_FILL_FACTOR = 3.0

Array = NDArray[np.float64]


class Preconditioner(Protocol):
    """M, close to A: `solve` applies M^-1, `multiply` applies M, to a vector (n,) or to columns (n, k)."""

    def solve(self, v: Array) -> Array: ...

    def multiply(self, v: Array) -> Array: ...


def make_preconditioner(name: str, A: csr_array) -> Preconditioner:
    """The preconditioner of that name for A, to be made within `solve`: its time counts there. Raises ValueError for an
    unknown name."""
    if name not in _KINDS:
        raise ValueError(f"unknown preconditioner {name!r}; known: {', '.join(_KINDS)}")
    return _KINDS[name](A)


class Identity:
    def __init__(self, A: csr_array) -> None:
        pass

    def solve(self, v: Array) -> Array:
        return v

    def multiply(self, v: Array) -> Array:
        return v


class Jacobi:
    """M = diag(A)."""

    def __init__(self, A: csr_array) -> None:
        self.diagonal = A.diagonal()
        self.inverse = 1.0 / self.diagonal

    def solve(self, v: Array) -> Array:
        return (self.inverse * v.T).T

    def multiply(self, v: Array) -> Array:
        return (self.diagonal * v.T).T


class ILU:
    """Incomplete LU with threshold and bounded fill (Li and Shao, 2011), as SuperLU has it."""

    def __init__(self, A: csr_array) -> None:
        self.factors = spilu(csc_array(A), drop_tol=ILU_DROP_TOLERANCE, fill_factor=ILU_FILL_FACTOR)

    def solve(self, v: Array) -> Array:
        return np.asarray(self.factors.solve(v))

    def multiply(self, v: Array) -> Array:
        # The factors are those of A with rows and columns permuted: row i of A is row perm_r[i] of L U.
        permuted = v[np.argsort(self.factors.perm_c)]
        return np.asarray((self.factors.L @ (self.factors.U @ permuted))[self.factors.perm_r])


_KINDS = {"none": Identity, "jacobi": Jacobi, "ilu": ILU}
