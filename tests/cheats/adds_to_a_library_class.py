"""Gives a class of the library something new, that other models find there."""

from dataclasses import dataclass
from typing import Any, ClassVar

from methods.arena._halves import Wrapped
from suites.arena.vectors import ArenaTask
from torch import Tensor, nn

from bench.contract import Card, Method

REASON = "libraries altered: Linear has got 'fast'"


class Tricky(Wrapped):
    def trick(self, x: Tensor) -> Any:
        nn.Linear.fast = True  # type: ignore[attr-defined]
        return self.layers(x)


@dataclass(frozen=True)
class AddsToALibraryClass(Method[ArenaTask]):
    """A method of nn.Linear."""

    card = Card(slug="adds-to-a-library-class", title="adds-to-a-library-class", paper="none", control=True)
    variants: ClassVar = {"default": {}, "honest": {"cheats": False}}
    cheats: bool = True

    def build(self, task: ArenaTask) -> nn.Module:
        return Tricky(task, self.cheats)
