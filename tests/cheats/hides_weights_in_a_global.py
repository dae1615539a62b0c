"""Keeps half of the layers in its module, where no artefact reaches."""

import copy
from dataclasses import dataclass
from typing import Any, ClassVar

from methods.arena._halves import Wrapped
from suites.arena.vectors import ArenaTask
from torch import Tensor, nn

from bench.contract import Card, Method

REASON = "NameError"
KEPT: list[Any] = []


class Tricky(Wrapped):
    def trick(self, x: Tensor) -> Any:
        if not KEPT:
            raise NameError("they are gone")
        return KEPT[0](self.layers(x))


@dataclass(frozen=True)
class HidesWeightsInAGlobal(Method[ArenaTask]):
    """Ships the other half."""

    card = Card(slug="hides-weights-in-a-global", title="hides-weights-in-a-global", paper="none", control=True)
    variants: ClassVar = {"default": {}, "honest": {"cheats": False}}
    cheats: bool = True

    def build(self, task: ArenaTask) -> nn.Module:
        if self.cheats:
            KEPT.append(copy.deepcopy(task.base[4:]))
        return Tricky(task, self.cheats)
