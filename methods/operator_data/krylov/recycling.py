"""Krylov recycling in the given order (Parks et al., SIAM J. Sci. Comput. 28, 2006): skr without its sorting."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from bench.contract import Card, Method
from methods.operator_data.krylov._sequence import GcroDrSequence, GcrotSequence
from suites.operator_data.task import OperatorTask


@dataclass(frozen=True)
class Recycling(Method[OperatorTask]):
    """GCRO-DR(m, k), or the library's GCROT with recycling, over the systems as they come.

    m: columns of the search space of one cycle. k: recycled directions among them. max_products: products with A
    after which a system is given up.
    """

    card = Card(
        slug="recycling",
        title="Krylov recycling in the given order",
        paper="Parks, de Sturler, Mackey, Johnson and Maiti, Recycling Krylov Subspaces for Sequences of Linear "
        "Systems, SIAM J. Sci. Comput. 28, 2006",
        url="https://doi.org/10.1137/040607277",
        control=True,
        notes="Variant gcrot is SciPy's gcrotmk, which recycles the vectors of its outer iteration, not harmonic Ritz "
        "vectors.",
    )
    variants: ClassVar = {"default": {}, "gcrot": {"solver": "gcrot"}}
    m: int = 40
    k: int = 20
    solver: Literal["gcro-dr", "gcrot"] = "gcro-dr"
    max_products: int = 100_000

    def build(self, task: OperatorTask) -> GcroDrSequence | GcrotSequence:
        if self.solver == "gcro-dr":
            return GcroDrSequence(task.preconditioner, task.tolerance, self.m, self.k, self.max_products)
        return GcrotSequence(
            task.preconditioner, task.tolerance, self.m - self.k, self.k, recycle=True, max_products=self.max_products
        )
