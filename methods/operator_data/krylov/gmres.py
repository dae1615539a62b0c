"""Restarted GMRES: every system solved on its own, from zero (Saad and Schultz, SIAM J. Sci. Stat. Comput. 7, 1986)."""

from dataclasses import dataclass

from bench.contract import Card, Method
from methods.operator_data.krylov._sequence import GcroDrSequence
from suites.operator_data.task import OperatorTask


@dataclass(frozen=True)
class Gmres(Method[OperatorTask]):
    """GMRES(m), preconditioned on the right, in the given order; the control that speeds are ratios to.

    m: columns of the Krylov space between restarts. max_products: products with A after which a system is given up.
    """

    card = Card(
        slug="gmres",
        title="GMRES(40), each system on its own",
        paper="Saad and Schultz, GMRES: A Generalized Minimal Residual Algorithm for Solving Nonsymmetric Linear "
        "Systems, SIAM J. Sci. Stat. Comput. 7, 1986",
        url="https://doi.org/10.1137/0907058",
        control=True,
        notes="Shares the Arnoldi kernel of our GCRO-DR, so that the two differ by what is recycled and nothing else.",
    )
    m: int = 40
    max_products: int = 100_000

    def build(self, task: OperatorTask) -> GcroDrSequence:
        return GcroDrSequence(task.preconditioner, task.tolerance, self.m, 0, self.max_products)
