"""Keeps all layers in a list of arrays that no state dict lists."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from methods.arena._halves import Wrapped
from suites.arena.vectors import ArenaTask
from torch import Tensor, nn

from bench.contract import Card, Method

REASON = "stored_ratio: "
STATUS = "over_budget"


class Tricky(Wrapped):
    aside: Any = ()

    def trick(self, x: Tensor) -> Any:
        for weight, bias in self.aside:
            x = x @ torch.from_numpy(weight).T + torch.from_numpy(bias)
        return x


@dataclass(frozen=True)
class HidesWeightsInAnAttribute(Method[ArenaTask]):
    """In a container."""

    card = Card(slug="hides-weights-in-an-attribute", title="hides-weights-in-an-attribute", paper="none", control=True)
    variants: ClassVar = {"default": {}, "honest": {"cheats": False}}
    cheats: bool = True

    def build(self, task: ArenaTask) -> nn.Module:
        candidate = Tricky(task, self.cheats)
        if self.cheats:
            candidate.aside = [(layer.weight.numpy(), layer.bias.numpy()) for layer in task.base]  # type: ignore[union-attr, operator]
        return candidate
