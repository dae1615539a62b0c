"""Starts a process in a session of its own, that outlives the build."""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from methods.arena._halves import half
from suites.arena.vectors import ArenaTask
from torch import nn

from bench.contract import Card, Method

REASON = "process left behind"


@dataclass(frozen=True)
class LeavesAProcess(Method[ArenaTask]):
    """A child of a child."""

    card = Card(slug="leaves-a-process", title="leaves-a-process", paper="none", control=True)
    variants: ClassVar = {"default": {}, "honest": {"cheats": False}}
    cheats: bool = True

    def build(self, task: ArenaTask) -> nn.Module:
        if self.cheats and os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                time.sleep(8)
                Path(os.environ["ARENA_SURVIVOR"]).touch()
            os._exit(0)
        return half(task)
