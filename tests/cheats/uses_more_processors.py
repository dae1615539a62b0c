"""Splits the batch among threads of its own, where the run has one."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from methods.arena._halves import Wrapped
from suites.arena.vectors import ArenaTask
from torch import Tensor, nn

from bench.contract import Card, Method

REASON = "more processors than the run has"


class Tricky(Wrapped):
    pool: ClassVar[Any] = None

    def trick(self, x: Tensor) -> Any:
        if type(self).pool is None:
            type(self).pool = ThreadPoolExecutor(4)

        def work(part: Tensor) -> Tensor:
            with torch.inference_mode():
                for _ in range(60):
                    answer = self.layers(part)
                return answer

        return torch.cat(list(self.pool.map(work, x.chunk(4))))


@dataclass(frozen=True)
class UsesMoreProcessors(Method[ArenaTask]):
    """A pool of threads beside PyTorch's."""

    card = Card(slug="uses-more-processors", title="uses-more-processors", paper="none", control=True)
    variants: ClassVar = {"default": {}, "honest": {"cheats": False}}
    cheats: bool = True

    def build(self, task: ArenaTask) -> nn.Module:
        return Tricky(task, self.cheats)
