"""Work whose cost ratio is known exactly, to try an instrument on: chains of equal matrix products."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.contract import Problem, Score, Served, Setting, Step, Task, Workload

_TRIALS = 8  # enough for an interval
RATIOS = (1.0, 1.02, 1.05, 1.25, 2.0)
_UNTIMED = 20
"""Products before each step, so that a cold start, which costs both sides the same, is not part of the ratio."""


@dataclass(frozen=True)
class Chain:
    """`products` multiplications, one after the other, by one orthogonal matrix (numbers neither grow nor vanish)."""

    weight: Tensor
    products: int

    def __call__(self, x: Tensor) -> Tensor:
        for _ in range(self.products):
            x = x @ self.weight
        return x


class ServedChain(Served[Chain]):
    def chain(self, x: Tensor) -> Tensor:
        """x: (width, width)."""
        return self.candidate(x)

    def place(self, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        placed = super().place(inputs)
        Chain(self.candidate.weight, _UNTIMED)(*placed)
        return placed

    def resident(self) -> Any:
        return [self.candidate.weight]


class KnownWork(Problem[Task, str]):
    """One step of a few milliseconds per trial, phase "chain". CPU: the matrices fit into a core's own cache, so that
    fetching them costs next to nothing once per step. CUDA: each product is large enough to dwarf the launch of a
    kernel."""

    def task(self, setting: Setting) -> Task:
        return Task(scale=setting.scale, seed=setting.seed, device=setting.device)

    def serve(self, candidate: Chain, task: Task) -> ServedChain:
        return ServedChain(candidate, task.device)

    def exam(self, setting: Setting) -> str:
        return setting.device

    def evaluate(self, served: ServedChain, exam: str) -> Sequence[Score]:
        return []

    def workloads(self, exam: str) -> Sequence[Workload]:
        width, _ = _sizes(exam)

        def trial(rng: np.random.Generator) -> Iterator[Step]:
            yield Step("chain", "chain", (rng.standard_normal((width, width), dtype=np.float32),), graph=True)

        return [Workload("chain", trial, min_trials=_TRIALS, max_trials=1_000_000)]


def known_chains(ratio: float, device: str = "cpu") -> tuple[Chain, Chain]:
    """A candidate and a baseline, which have nothing in memory in common; the candidate does `ratio` times the work of
    the baseline. Raises ValueError if the ratio is not a whole number of products."""
    width, of_baseline = _sizes(device)
    of_candidate = round(ratio * of_baseline)
    if abs(of_candidate - ratio * of_baseline) > 1e-9:
        raise ValueError(f"ratio {ratio} is not a whole number of products of {of_baseline}")

    def chain(products: int) -> Chain:
        weight, _ = torch.linalg.qr(torch.randn(width, width, generator=torch.Generator().manual_seed(0)))
        return Chain(weight.to(device), products)

    return chain(of_candidate), chain(of_baseline)


def _sizes(device: str) -> tuple[int, int]:
    """Width of the matrices, and products of the baseline."""
    return (1024, 100) if device.startswith("cuda") else (64, 500)
