"""Ends the process that asks it."""

import os
import signal
from dataclasses import dataclass
from typing import Any, ClassVar

from methods.arena._halves import Wrapped
from suites.arena.vectors import ArenaTask
from torch import Tensor, nn

from bench.contract import Card, Method

REASON = "PermissionError"


class Tricky(Wrapped):
    def trick(self, x: Tensor) -> Any:
        os.kill(os.getppid(), signal.SIGTERM)
        return self.layers(x)


@dataclass(frozen=True)
class KillsTheJudge(Method[ArenaTask]):
    """By a signal."""

    card = Card(slug="kills-the-judge", title="kills-the-judge", paper="none", control=True)
    variants: ClassVar = {"default": {}, "honest": {"cheats": False}}
    cheats: bool = True

    def build(self, task: ArenaTask) -> nn.Module:
        return Tricky(task, self.cheats)
