"""Lets a child process do the work beside it."""

import os
from dataclasses import dataclass
from typing import Any, ClassVar

from methods.arena._halves import Wrapped
from suites.arena.vectors import ArenaTask
from torch import Tensor, nn

from bench.contract import Card, Method

REASON = "process left behind"


class Tricky(Wrapped):
    child = 0

    def trick(self, x: Tensor) -> Any:
        if not type(self).child:
            type(self).child = os.fork()
            if type(self).child == 0:
                while True:
                    self.layers(x)
        return self.layers(x)


@dataclass(frozen=True)
class WorksInAChild(Method[ArenaTask]):
    """Forked when it is first called."""

    card = Card(slug="works-in-a-child", title="works-in-a-child", paper="none", control=True)
    variants: ClassVar = {"default": {}, "honest": {"cheats": False}}
    cheats: bool = True

    def build(self, task: ArenaTask) -> nn.Module:
        return Tricky(task, self.cheats)
