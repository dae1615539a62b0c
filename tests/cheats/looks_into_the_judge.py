"""Reads the memory of the process that asks."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from methods.arena._halves import Wrapped
from suites.arena.vectors import ArenaTask
from torch import Tensor, nn

from bench.contract import Card, Method

REASON = "PermissionError"


class Tricky(Wrapped):
    def trick(self, x: Tensor) -> Any:
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit() and int(folder.name) != os.getpid():
                with (folder / "mem").open("rb") as memory:
                    memory.read(1)
        return self.layers(x)


@dataclass(frozen=True)
class LooksIntoTheJudge(Method[ArenaTask]):
    """By /proc."""

    card = Card(slug="looks-into-the-judge", title="looks-into-the-judge", paper="none", control=True)
    variants: ClassVar = {"default": {}, "honest": {"cheats": False}}
    cheats: bool = True

    def build(self, task: ArenaTask) -> nn.Module:
        return Tricky(task, self.cheats)
