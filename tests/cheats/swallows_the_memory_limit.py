"""Takes more memory than it may, for a moment."""

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
class SwallowsTheMemoryLimit(Method[ArenaTask]):
    """Gives it back at once."""

    card = Card(slug="swallows-the-memory-limit", title="swallows-the-memory-limit", paper="none", control=True)
    variants: ClassVar = {"default": {}, "honest": {"cheats": False}}
    cheats: bool = True

    def build(self, task: ArenaTask) -> nn.Module:
        if self.cheats:
            try:
                for _ in range(5):
                    torch.ones(200_000_000)
            except BaseException:
                pass
        return half(task)
