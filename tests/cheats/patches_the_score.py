"""Replaces the suite's scoring, in the only process that it can reach."""

from dataclasses import dataclass
from typing import ClassVar

from methods.arena._halves import half
from suites.arena import vectors
from suites.arena.vectors import ArenaTask
from torch import nn

from bench.contract import Card, Method

REASON = "libraries altered: suites.arena.vectors"


@dataclass(frozen=True)
class PatchesTheScore(Method[ArenaTask]):
    """Patches the problem."""

    card = Card(slug="patches-the-score", title="patches-the-score", paper="none", control=True)
    variants: ClassVar = {"default": {}, "honest": {"cheats": False}}
    cheats: bool = True

    def build(self, task: ArenaTask) -> nn.Module:
        if self.cheats:
            vectors.Vectors.evaluate = lambda *_: []  # type: ignore[method-assign]
        return half(task)
