"""One linear system of a sequence, what a solver returns for it, and what a solver is."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

Vector = NDArray[np.float64]
Plain = Mapping[str, Any]
"""A system in numbers and arrays alone."""


class CountedMatrix(csr_array):
    """A CSR array that counts its products with vectors: `A @ X` with X of k columns is k products.

    Counting here and not in the solvers makes the count the same thing for every method.
    """

    products: int = 0

    def __matmul__(self, other: Any) -> Any:
        self.products += other.shape[1] if getattr(other, "ndim", 1) == 2 else 1
        return super().__matmul__(other)


@dataclass(frozen=True)
class System:
    """A x = b.

    A: (n, n) sparse, real, nonsingular. b: (n,). parameters: (grid, grid) raw field that the system was made from
    (Darcy: permeability, Helmholtz: wave number), n = grid * grid.
    """

    A: CountedMatrix = field(repr=False)
    b: Vector = field(repr=False)
    parameters: NDArray[np.float64] = field(repr=False)

    @classmethod
    def read(cls, plain: Plain) -> "System":
        """What `plain` gave, with a matrix that has counted nothing yet."""
        entries = plain["data"], plain["indices"], plain["indptr"]
        return cls(CountedMatrix(entries, shape=tuple(plain["shape"])), plain["b"], plain["parameters"])

    def plain(self) -> Plain:
        """To be sent: the matrix by its rows (data, indices, indptr: CSR; shape), b and parameters."""
        rows = {"data": self.A.data, "indices": self.A.indices, "indptr": self.A.indptr, "shape": list(self.A.shape)}
        return {**rows, "b": self.b, "parameters": self.parameters}

    def relative_residual(self, x: Vector) -> float:
        """||b - A x|| / ||b|| in the 2-norm (||A x|| if b = 0), not a counted product; infinite if not finite."""
        residual = self.b - csr_array.__matmul__(self.A, x)
        norm = float(np.linalg.norm(residual)) / (float(np.linalg.norm(self.b)) or 1.0)
        return norm if np.isfinite(norm) else np.inf


@dataclass(frozen=True)
class Solution:
    """x: (n,), the solution of system number `index` of the sequence as it was given."""

    index: int
    x: Vector = field(repr=False)


class SequenceSolver(Protocol):
    """What a method builds: solves a sequence, in any order, one solution for each system.

    It is pickled and solves in another process, so it holds what it needs (the name of the preconditioner, the
    tolerance) and not the task. Everything done here is timed: sorting, making preconditioners, solving. Nothing may be
    carried from one call to the next.
    """

    def solve(self, systems: Sequence[System]) -> Iterable[Solution]: ...
