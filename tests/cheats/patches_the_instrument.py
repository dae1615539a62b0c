"""Replaces the function that reads the clock around each step, when it is first called."""

from dataclasses import dataclass
from typing import Any

from arena.methods import Wrapped, card
from arena.suite import ArenaTask
from torch import Tensor, nn

from bench.contract import Limits, Method

REASON = "instruments altered: bench.measure.paired"


class Patching(Wrapped):
    def forward(self, x: Tensor) -> Any:
        from bench.measure import paired

        true = paired.time_pair
        if true.__name__ == "time_pair":
            paired.time_pair = lambda *args, **options: {}
        return super().forward(x)


@dataclass(frozen=True)
class PatchesTheInstrument(Method[ArenaTask]):
    """Halves what the instrument finds."""

    card = card("patches-the-instrument")

    def build(self, task: ArenaTask, limits: Limits) -> nn.Module:
        return Patching(task)
