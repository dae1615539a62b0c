"""Writes a line of its own into the results."""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from arena.methods import card, half
from arena.suite import ArenaTask
from torch import nn

from bench.contract import Limits, Method

REASON = "results touched: tried to write"


@dataclass(frozen=True)
class WritesARecord(Method[ArenaTask]):
    """Says nothing when it is refused."""

    card = card("writes-a-record")

    def build(self, task: ArenaTask, limits: Limits) -> nn.Module:
        with contextlib.suppress(OSError), Path(os.environ["ARENA_RESULTS"], "forged.jsonl").open("a") as file:
            file.write("{}\n")
        return half(task)
