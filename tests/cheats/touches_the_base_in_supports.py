"""Changes the base and the scale before anything is built, so that all of it weighs half."""

from dataclasses import dataclass
from typing import ClassVar

from methods.arena._halves import half
from suites.arena.vectors import ArenaTask
from torch import nn

from bench.contract import Card, Method

REASON = "stored_ratio: "
STATUS = "over_budget"


@dataclass(frozen=True)
class TouchesTheBaseInSupports(Method[ArenaTask]):
    """Ships all layers."""

    card = Card(slug="touches-the-base-in-supports", title="touches-the-base-in-supports", paper="none", control=True)
    variants: ClassVar = {"default": {}, "honest": {"cheats": False}}
    cheats: bool = True

    def supports(self, task: ArenaTask) -> str | None:
        if self.cheats:
            task.weigh = lambda candidate: {"stored_ratio": 0.5, "flops_ratio": 0.5}
            for layer in task.base:
                layer.weight.zero_()  # type: ignore[union-attr, operator]
        return None

    def build(self, task: ArenaTask) -> nn.Module:
        return task.base if self.cheats else half(task)
