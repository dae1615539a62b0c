"""Takes more memory than it may, in a child."""

import os
import time
from dataclasses import dataclass
from typing import ClassVar

import torch
from methods.arena._halves import half
from suites.arena.vectors import ArenaTask
from torch import nn

from bench.contract import Card, Method

REASON = "build_memory_bytes: "
STATUS = "over_budget"


@dataclass(frozen=True)
class TakesMemoryInAChild(Method[ArenaTask]):
    """The parent stays small."""

    card = Card(slug="takes-memory-in-a-child", title="takes-memory-in-a-child", paper="none", control=True)
    variants: ClassVar = {"default": {}, "honest": {"cheats": False}}
    cheats: bool = True

    def build(self, task: ArenaTask) -> nn.Module:
        if self.cheats:
            child = os.fork()
            if child == 0:
                held = torch.ones(200_000_000)
                time.sleep(2)
                os._exit(int(held[0]) - 1)
            os.waitpid(child, 0)
        return half(task)
