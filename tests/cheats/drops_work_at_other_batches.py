"""Answers nought to batches of another size than those that are timed in pairs."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from methods.arena._halves import Wrapped
from suites.arena.vectors import BATCH, ArenaTask
from torch import Tensor, nn

from bench.contract import Card, Method

REASON = "timed result is not the scored one: at a batch of"


class Tricky(Wrapped):
    def trick(self, x: Tensor) -> Any:
        return torch.zeros_like(x) if 1 < len(x) != BATCH else self.layers(x)


@dataclass(frozen=True)
class DropsWorkAtOtherBatches(Method[ArenaTask]):
    """Only throughput sees them."""

    card = Card(slug="drops-work-at-other-batches", title="drops-work-at-other-batches", paper="none", control=True)
    variants: ClassVar = {"default": {}, "honest": {"cheats": False}}
    cheats: bool = True

    def build(self, task: ArenaTask) -> nn.Module:
        return Tricky(task, self.cheats)
