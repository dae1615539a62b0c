"""Lets a child use the time that the build may not."""

import os
import time
from dataclasses import dataclass
from typing import ClassVar

from methods.arena._halves import half
from suites.arena.vectors import ArenaTask
from torch import nn

from bench.contract import Card, Method

REASON = "build_seconds: "
STATUS = "over_budget"


@dataclass(frozen=True)
class WorksInAChildOfTheBuild(Method[ArenaTask]):
    """The parent waits."""

    card = Card(slug="works-in-a-child-of-the-build", title="works-in-a-child-of-the-build", paper="none", control=True)
    variants: ClassVar = {"default": {}, "honest": {"cheats": False}}
    cheats: bool = True

    def build(self, task: ArenaTask) -> nn.Module:
        if self.cheats:
            child = os.fork()
            if child == 0:
                end = time.monotonic() + 20
                while time.monotonic() < end:
                    pass
                os._exit(0)
            os.waitpid(child, 0)
        return half(task)
