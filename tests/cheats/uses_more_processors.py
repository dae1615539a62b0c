"""Splits the batch among threads of its own, where the run has one."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from arena.methods import Wrapped, card
from arena.suite import ArenaTask
from torch import Tensor, nn

from bench.contract import Limits, Method

REASON = "more processors than the run has"


class Pooled(Wrapped):
    def __init__(self, task: ArenaTask) -> None:
        super().__init__(task)
        self.pool = ThreadPoolExecutor(4)

    def forward(self, x: Tensor) -> Any:
        def work(part: Tensor) -> Tensor:
            with torch.inference_mode():
                for _ in range(30):
                    answer = self.layers(part)
                return answer

        return torch.cat(list(self.pool.map(work, x.chunk(4))))


@dataclass(frozen=True)
class UsesMoreProcessors(Method[ArenaTask]):
    """A pool of threads beside PyTorch's."""

    card = card("uses-more-processors")

    def build(self, task: ArenaTask, limits: Limits) -> nn.Module:
        return Pooled(task)
