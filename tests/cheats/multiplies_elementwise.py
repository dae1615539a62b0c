"""Writes products as elementwise ones and sums."""

from dataclasses import dataclass
from typing import Any, ClassVar

from methods.arena._halves import Wrapped
from suites.arena.vectors import ArenaTask
from torch import Tensor, nn

from bench.contract import Card, Method

REASON = "flops_ratio: "
STATUS = "over_budget"


class Tricky(Wrapped):
    def trick(self, x: Tensor) -> Any:
        for layer in [*self.layers, *self.layers]:
            x = (x[:, None, :] * layer.weight).sum(-1) + layer.bias
        return x


@dataclass(frozen=True)
class MultipliesElementwise(Method[ArenaTask]):
    """Twice the work, counted as none."""

    card = Card(slug="multiplies-elementwise", title="multiplies-elementwise", paper="none", control=True)
    variants: ClassVar = {"default": {}, "honest": {"cheats": False}}
    cheats: bool = True

    def build(self, task: ArenaTask) -> nn.Module:
        return Tricky(task, self.cheats)
