"""A suite in a page: a candidate is a tensor, its error is how much of the base it lacks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from bench.contract import OperatingPoint, Score, Step, Suite, Task, Workload

SIZE = 100_000


@dataclass(kw_only=True)
class ToyTask(Task):
    base: torch.Tensor

    def calibration(self, tokens: int) -> None:
        self.draw("calibration_tokens", tokens)


class ToySuite(Suite[ToyTask]):
    def task(self, *, scale: str, base: str, point: OperatingPoint, seed: int, device: str) -> ToyTask:
        return ToyTask(scale=scale, seed=seed, device=device, base=torch.ones(SIZE))

    def evaluate(self, candidate: Any, task: ToyTask) -> Sequence[Score]:
        return [Score("error", [float(SIZE - len(candidate)), float(candidate.sum())])]

    def workloads(self, task: ToyTask) -> Sequence[Workload]:
        def trial(candidate: Any, rng: np.random.Generator) -> Iterator[Step]:
            factor = float(rng.random())
            for _ in range(4):
                yield Step("sum", lambda: float((candidate * factor).sum()))

        return [Workload("sum", trial, min_trials=5, max_trials=20)]

    def stored(self, candidate: Any) -> object:
        return candidate
