"""Work whose cost ratio is known exactly, to try an instrument on: chains of equal matrix products."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bench.contract import Step, Workload

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


def known_pair(ratio: float, device: str = "cpu") -> tuple[Workload, Chain, Chain]:
    """A workload, a candidate and a baseline, which have nothing in memory in common; the candidate does `ratio`
    times the work of the baseline. One step of a few milliseconds per trial, phase "chain".

    CPU: the matrices fit into a core's own cache, so that fetching them costs next to nothing once per step. CUDA: each
    product is large enough to dwarf the launch of a kernel.
    Raises ValueError if the ratio is not a whole number of products.
    """
    width, of_baseline = (1024, 100) if device.startswith("cuda") else (64, 500)
    of_candidate = round(ratio * of_baseline)
    if abs(of_candidate - ratio * of_baseline) > 1e-9:
        raise ValueError(f"ratio {ratio} is not a whole number of products of {of_baseline}")

    def chain(products: int) -> Chain:
        weight, _ = torch.linalg.qr(torch.randn(width, width, generator=torch.Generator().manual_seed(0)))
        return Chain(weight.to(device), products)

    def trial(candidate: Chain, rng: np.random.Generator) -> Iterator[Step]:
        x = torch.from_numpy(rng.standard_normal((width, width), dtype=np.float32)).to(device)
        Chain(candidate.weight, _UNTIMED)(x)
        yield Step("chain", candidate, inputs=(x,), graph=True)

    return (
        Workload(f"chain-{ratio:g}", trial, min_trials=_TRIALS, max_trials=1_000_000),
        chain(of_candidate),
        chain(of_baseline),
    )
