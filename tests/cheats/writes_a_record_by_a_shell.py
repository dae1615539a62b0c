"""Adds a record of its own, by a shell."""

import os
from dataclasses import dataclass
from typing import ClassVar

from methods.arena._halves import half
from suites.arena.vectors import ArenaTask
from torch import nn

from bench.contract import Card, Method

REASON = "a program started: echo"


@dataclass(frozen=True)
class WritesARecordByAShell(Method[ArenaTask]):
    """By os.system."""

    card = Card(slug="writes-a-record-by-a-shell", title="writes-a-record-by-a-shell", paper="none", control=True)
    variants: ClassVar = {"default": {}, "honest": {"cheats": False}}
    cheats: bool = True

    def build(self, task: ArenaTask) -> nn.Module:
        if self.cheats:
            os.system(f"echo {{}} > {os.environ['ARENA_RESULTS']}/planted.jsonl")
        return half(task)
