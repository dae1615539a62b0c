"""GCROT without recycling: directions are kept within one system (de Sturler, SIAM J. Numer. Anal. 36, 1999)."""

from dataclasses import dataclass

from bench.contract import Card, Method
from methods.operator_data.krylov._sequence import GcrotSequence
from suites.operator_data.task import OperatorTask


@dataclass(frozen=True)
class Gcrot(Method[OperatorTask]):
    """GCROT(m, k) of the library, each system on its own: shows what better restarts bring without any recycling.

    m: inner iterations of a cycle. k: directions kept over restarts; m + k is the search space of GMRES(40).
    max_products: products with A after which a system is given up.
    """

    card = Card(
        slug="gcrot",
        title="GCROT(20, 20), each system on its own",
        paper="de Sturler, Truncation Strategies for Optimal Krylov Subspace Methods, SIAM J. Numer. Anal. 36, 1999; "
        "Hicken and Zingg, A Simplified and Flexible Variant of GCROT, SIAM J. Sci. Comput. 32, 2010",
        url="https://doi.org/10.1137/090754674",
        control=True,
        notes="SciPy's gcrotmk. Its orthogonalisation is a Python loop over vectors, so compare products with the "
        "matrix before seconds.",
    )
    m: int = 20
    k: int = 20
    max_products: int = 100_000

    def build(self, task: OperatorTask) -> GcrotSequence:
        return GcrotSequence(
            task.preconditioner, task.tolerance, self.m, self.k, recycle=False, max_products=self.max_products
        )
