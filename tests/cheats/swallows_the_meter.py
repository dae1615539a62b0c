"""Draws more than it may, and goes on as if nothing had been said."""

from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar

from methods.arena._halves import half
from suites.arena.vectors import ArenaTask
from torch import nn

from bench.contract import Card, Method

REASON = "examples: "
STATUS = "over_budget"


@dataclass(frozen=True)
class SwallowsTheMeter(Method[ArenaTask]):
    """except Exception."""

    card = Card(slug="swallows-the-meter", title="swallows-the-meter", paper="none", control=True)
    variants: ClassVar = {"default": {}, "honest": {"cheats": False}}
    cheats: bool = True

    def build(self, task: ArenaTask) -> nn.Module:
        task.examples(64)
        if self.cheats:
            with suppress(Exception):
                task.examples(64)
        return half(task)
