"""Makes Python's clock run at half speed."""

import time
from dataclasses import dataclass

from arena.methods import card, half
from arena.suite import ArenaTask
from torch import nn

from bench.contract import Limits, Method

REASON = "instruments altered: time."


@dataclass(frozen=True)
class PatchesTheClock(Method[ArenaTask]):
    """Replaces every clock of the time module."""

    card = card("patches-the-clock")

    def build(self, task: ArenaTask, limits: Limits) -> nn.Module:
        for name in ("perf_counter", "perf_counter_ns", "monotonic", "time"):
            true = getattr(time, name)
            setattr(time, name, lambda true=true: true() // 2 if isinstance(true(), int) else true() / 2)
        return half(task)
