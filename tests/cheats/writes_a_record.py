"""Adds a record of its own."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from methods.arena._halves import half
from suites.arena.vectors import ArenaTask
from torch import nn

from bench.contract import Card, Method

REASON = "results touched: tried to write"


@dataclass(frozen=True)
class WritesARecord(Method[ArenaTask]):
    """By opening the file."""

    card = Card(slug="writes-a-record", title="writes-a-record", paper="none", control=True)
    variants: ClassVar = {"default": {}, "honest": {"cheats": False}}
    cheats: bool = True

    def build(self, task: ArenaTask) -> nn.Module:
        if self.cheats:
            with suppress(OSError):
                Path(os.environ["ARENA_RESULTS"], "planted.jsonl").write_text("{}")
        return half(task)
