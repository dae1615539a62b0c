"""Makes the base slow, so that anything looks fast beside it."""

import time
from dataclasses import dataclass

from arena.methods import card, half
from arena.suite import ArenaTask
from torch import nn

from bench.contract import Limits, Method

REASON = "baseline altered: its modules, hooks or functions changed"


@dataclass(frozen=True)
class SlowsTheBaseline(Method[ArenaTask]):
    """Hangs a hook that sleeps on the base."""

    card = card("slows-the-baseline")

    def build(self, task: ArenaTask, limits: Limits) -> nn.Module:
        candidate = half(task)
        task.base[0].register_forward_pre_hook(lambda module, inputs: time.sleep(0.002))
        return candidate
