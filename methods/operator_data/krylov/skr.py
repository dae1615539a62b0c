"""Sorting Krylov Recycling (Wang et al., ICLR 2024): sort the systems by similarity, recycle from one to the next."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from bench.contract import Card, Claim, Method
from methods._techniques.greedy_walk import greedy_order
from methods.operator_data.krylov._sequence import GcroDrSequence, GcrotSequence
from methods.operator_data.krylov.recycling import Recycling
from suites.operator_data.system import Solution, System
from suites.operator_data.task import OperatorTask


@dataclass(frozen=True)
class SortedSequence:
    """Hands the systems to another solver in the greedy order, and gives each solution its own index back."""

    solver: GcroDrSequence | GcrotSequence

    def solve(self, systems: Sequence[System]) -> Iterator[Solution]:
        order = greedy_order([system.parameters for system in systems])
        for solution in self.solver.solve([systems[index] for index in order]):
            yield Solution(order[solution.index], solution.x)


@dataclass(frozen=True)
class Skr(Method[OperatorTask]):
    """Systems whose parameter fields are alike have invariant subspaces that are alike.

    The sequence is sorted by a greedy walk: from each system to the one, of those left, whose raw parameter field is
    nearest in the Frobenius norm. In that order GCRO-DR solves them: the harmonic Ritz vectors of the smallest Ritz
    values of one system deflate the next from its first product on.

    m: columns of the search space of one cycle. k: recycled directions among them. max_products: products with A
    after which a system is given up.
    """

    card = Card(
        slug="skr",
        title="SKR: Sorting Krylov Recycling",
        paper="Wang, Hao, Wang, Geng, Wang, Li and Wu, Accelerating Data Generation for Neural Operators via Krylov "
        "Subspace Recycling, ICLR 2024",
        url="https://arxiv.org/abs/2401.09516",
        claims=(
            Claim(
                text="Needs far fewer iterations per system than restarted GMRES at the same tolerance",
                source="Abstract; the figures are from the experiments of the paper",
                metric="iterations",
                versus="gmres",
                variant="default",
                paper_value="Darcy, n = 6400, 1e-8: 19 times fewer without a preconditioner, 17 with ILU; "
                "Helmholtz, n = 10000, 1e-7: 14 times fewer",
            ),
            Claim(
                text="Makes Darcy data faster than restarted GMRES",
                source="Abstract; the figures are from the experiments of the paper",
                metric="darcy-80.solve.ratio",
                versus="gmres",
                variant="default",
                paper_value="n = 6400, 1e-8: 2.7 times without a preconditioner, 3.7 times with ILU",
            ),
            Claim(
                text="Makes Helmholtz data faster than restarted GMRES",
                source="Abstract; the figures are from the experiments of the paper",
                metric="helmholtz-48.solve.ratio",
                versus="gmres",
                variant="default",
                paper_value="n = 10000, 1e-7: 6.5 times without a preconditioner, 13.9 times with ASM",
            ),
            Claim(
                text="Sorting makes recycling need fewer iterations than the given order does",
                source="The ablation of the sorting among the experiments of the paper",
                metric="iterations",
                versus="recycling:default",
                variant="default",
                paper_value="0.101 s per system sorted, 0.114 s unsorted",
            ),
        ),
        differences=(
            (
                "GCRO-DR is our own, not PETSc's; recycled directions are kept in the space of x, so that a "
                "preconditioner made anew for each system does not spoil them."
            ),
            "The walk starts from the first system.",
        ),
        notes="Variant `gcrot` recycles as SciPy's gcrotmk does.",
    )
    variants: ClassVar = {"default": {}, "gcrot": {"solver": "gcrot"}}
    m: int = 40
    k: int = 20
    solver: Literal["gcro-dr", "gcrot"] = "gcro-dr"
    max_products: int = 100_000

    def build(self, task: OperatorTask) -> SortedSequence:
        unsorted = Recycling(m=self.m, k=self.k, solver=self.solver, max_products=self.max_products)
        return SortedSequence(unsorted.build(task))
