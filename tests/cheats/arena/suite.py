"""A suite that is small and complete: layers on vectors, scored on held-out inputs one at a time, timed in batches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.contract import OperatingPoint, Score, Step, Suite, Task, Workload, require_scoring

WIDTH, DEPTH, BATCH = 256, 8, 128


@dataclass(kw_only=True)
class ArenaTask(Task):
    base: nn.Sequential


class ArenaSuite(Suite[ArenaTask]):
    def task(self, *, scale: str, base: str, point: OperatingPoint, seed: int, device: str) -> ArenaTask:
        torch.manual_seed(0)
        layers = nn.Sequential(*(nn.Linear(WIDTH, WIDTH) for _ in range(DEPTH))).to(device).eval()
        return ArenaTask(scale=scale, seed=seed, device=device, base=layers)

    def evaluate(self, candidate: Any, task: ArenaTask) -> Sequence[Score]:
        inputs = evaluation_inputs(task.device)
        return [Score("error", [float(_squared(alone(candidate, x), alone(task.base, x))) for x in inputs])]

    def workloads(self, task: ArenaTask) -> Sequence[Workload]:
        def trial(candidate: Any, rng: np.random.Generator) -> Iterator[Step]:
            x = torch.from_numpy(rng.standard_normal((BATCH, WIDTH), dtype=np.float32)).to(task.device)

            def check(result: Tensor) -> str | None:
                difference = float(_squared(result[0], alone(candidate, x[0])))
                return None if difference < 1e-6 else f"differs from the scored answer by {difference:.2g}"

            yield Step("latency", lambda x: forward(candidate, x), inputs=(x,), check=check)

        return [Workload("forward", trial, min_trials=20, max_trials=200)]

    def stored(self, candidate: Any) -> object:
        return candidate.state_dict()

    def counted(self, candidate: Any, task: ArenaTask) -> Step:
        x = torch.ones(BATCH, WIDTH, device=task.device)
        return Step("forward", lambda: forward(candidate, x), units=BATCH)


def evaluation_inputs(device: str) -> Tensor:
    """(inputs, width)."""
    require_scoring("the arena's evaluation inputs")
    return torch.randn(16, WIDTH, generator=torch.Generator().manual_seed(1)).to(device)


def alone(candidate: Any, x: Tensor) -> Tensor:
    """One input (width,) on its own, as it is scored."""
    return forward(candidate, x[None])[0]


@torch.inference_mode()
def forward(candidate: Any, x: Tensor) -> Tensor:
    return candidate(x)


def _squared(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).square().mean()
