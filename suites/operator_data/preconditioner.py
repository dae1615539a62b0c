"""The preconditioners of the operating points: the same for every method, made anew for every system."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array
from scipy.sparse.linalg import spilu

ILU_DROP_TOLERANCE = 1e-2
ILU_FILL_FACTOR = 3.0

Array = NDArray[np.float64]
Preconditioner = Callable[[Array], Array]
"""Applies M^-1 to a vector (n,) or to columns (n, k)."""


def make_preconditioner(name: str, A: csr_array) -> Preconditioner:
    """The preconditioner of that name for A. Its cost belongs to the solve. Raises ValueError for an unknown name."""
    if name == "none":
        return lambda v: v
    if name == "jacobi":
        return _jacobi(A)
    if name == "ilu":
        return _ilu(A)
    raise ValueError(f"unknown preconditioner {name!r}; known: none, jacobi, ilu")


def _jacobi(A: csr_array) -> Preconditioner:
    inverse = 1.0 / A.diagonal()
    return lambda v: inverse * v if v.ndim == 1 else inverse[:, None] * v


def _ilu(A: csr_array) -> Preconditioner:
    """Incomplete LU with threshold and partial fill (Li and Shao, 2011), SuperLU's."""
    return spilu(csc_array(A), drop_tol=ILU_DROP_TOLERANCE, fill_factor=ILU_FILL_FACTOR).solve
