"""Makes the base slow when the build has been checked, from within the forward pass."""

import time
from dataclasses import dataclass
from typing import Any

from arena.methods import Wrapped, card
from arena.suite import ArenaTask
from torch import Tensor, nn

from bench.contract import Limits, Method

REASON = "baseline altered: its modules, hooks or functions changed"


class Lurking(Wrapped):
    def __init__(self, task: ArenaTask) -> None:
        super().__init__(task)
        self.calls = 0
        self.slow_down = lambda: task.base[0].register_forward_pre_hook(lambda module, inputs: time.sleep(0.002))

    def forward(self, x: Tensor) -> Any:
        self.calls += 1
        if self.calls == 40:
            self.slow_down()
        return super().forward(x)


@dataclass(frozen=True)
class SlowsTheBaselineLater(Method[ArenaTask]):
    """Keeps a way to the base in the closure of a function."""

    card = card("slows-the-baseline-later")

    def build(self, task: ArenaTask, limits: Limits) -> nn.Module:
        return Lurking(task)
