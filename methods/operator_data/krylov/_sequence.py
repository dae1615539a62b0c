"""Candidates: solve a sequence in the given order with GCRO-DR (GMRES where nothing is recycled) or with GCROT."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from scipy.sparse.linalg import LinearOperator, gcrotmk

from methods._techniques.arnoldi import Array
from methods._techniques.gcro_dr import gcro_dr
from suites.operator_data.preconditioner import make_preconditioner
from suites.operator_data.system import Solution, System


@dataclass(frozen=True)
class GcroDrSequence:
    """GCRO-DR(m, k), carrying the recycled directions from each system to the next; GMRES(m) for k = 0."""

    preconditioner: str
    tolerance: float
    m: int
    k: int
    max_products: int

    def solve(self, systems: Sequence[System]) -> Iterator[Solution]:
        directions: Array | None = None
        for index, system in enumerate(systems):
            result = gcro_dr(
                system.A.__matmul__,
                system.b,
                make_preconditioner(self.preconditioner, system.A),
                tolerance=self.tolerance,
                m=self.m,
                k=self.k,
                directions=directions,
                max_products=self.max_products,
            )
            directions = result.directions
            yield Solution(index, result.x)


@dataclass(frozen=True)
class GcrotSequence:
    """The library's GCROT(m, k) (Hicken and Zingg, 2010), with or without its own recycling between systems.

    SciPy's solver keeps pairs (c, u); for a new matrix only the u may be kept and the c must be made anew, which is
    what `discard_C` is for. It needs no norm but the true residual's: the preconditioner stands on the right.
    """

    preconditioner: str
    tolerance: float
    m: int
    k: int
    recycle: bool
    max_products: int

    def solve(self, systems: Sequence[System]) -> Iterator[Solution]:
        pairs: list[tuple[Array | None, Array]] = []
        for index, system in enumerate(systems):
            if not self.recycle:
                pairs = []
            preconditioner = make_preconditioner(self.preconditioner, system.A)
            shape = system.A.shape
            x, _ = gcrotmk(
                LinearOperator(shape, matvec=system.A.__matmul__, dtype=float),
                system.b,
                rtol=self.tolerance,
                atol=0.0,
                maxiter=max(1, self.max_products // self.m),
                M=LinearOperator(shape, matvec=preconditioner.solve, dtype=float),
                m=self.m,
                k=self.k,
                CU=pairs,
                discard_C=True,
                truncate="smallest",
            )
            yield Solution(index, x)
