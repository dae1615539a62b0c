"""Forks a child in each step, which works and ends before anybody looks."""

import os
from dataclasses import dataclass
from typing import Any, ClassVar

from methods.arena._halves import Wrapped
from suites.arena.vectors import ArenaTask
from torch import Tensor, nn

from bench.contract import Card, Method

REASON = "process left behind: processes that the candidate started"


class Tricky(Wrapped):
    def trick(self, x: Tensor) -> Any:
        if len(x) > 1:
            child = os.fork()
            if child == 0:
                for _ in range(50):
                    self.layers(x)
                os._exit(0)
            os.waitpid(child, 0)
        return self.layers(x)


@dataclass(frozen=True)
class WorksInAChildEachStep(Method[ArenaTask]):
    """Half of the work is the child's."""

    card = Card(slug="works-in-a-child-each-step", title="works-in-a-child-each-step", paper="none", control=True)
    variants: ClassVar = {"default": {}, "honest": {"cheats": False}}
    cheats: bool = True

    def build(self, task: ArenaTask) -> nn.Module:
        return Tricky(task, self.cheats)
