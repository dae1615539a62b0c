"""Ships, in place of a candidate, what does something when it is loaded: it patches the clock."""

import time
from dataclasses import dataclass
from typing import Any, ClassVar

from methods.arena._halves import half
from suites.arena.vectors import ArenaTask
from torch import nn

from bench.contract import Card, Method

REASON = "libraries altered: time.perf_counter_ns is not what it was"


def planted(layers: nn.Module) -> nn.Module:
    time.perf_counter_ns = lambda: 0
    return layers


class Planted(nn.Module):
    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def __reduce__(self) -> Any:
        return planted, (self.layers,)

    def forward(self, x: Any) -> Any:
        return self.layers(x)


@dataclass(frozen=True)
class PlantsAPickle(Method[ArenaTask]):
    """A class with a __reduce__ of its own."""

    card = Card(slug="plants-a-pickle", title="plants-a-pickle", paper="none", control=True)
    variants: ClassVar = {"default": {}, "honest": {"cheats": False}}
    cheats: bool = True

    def build(self, task: ArenaTask) -> nn.Module:
        return Planted(half(task)) if self.cheats else half(task)
