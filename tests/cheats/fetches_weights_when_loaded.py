"""Ships a note, and takes the base from the suite when it is loaded."""

from dataclasses import dataclass
from typing import Any, ClassVar

from methods.arena._halves import half
from suites.arena.vectors import ArenaTask, base
from torch import nn

from bench.contract import Card, Method

REASON = "flops_ratio: "
STATUS = "over_budget"


class Note(nn.Module):
    def __reduce__(self) -> Any:
        return base, ()

    def forward(self, x: Any) -> Any:
        return base()(x)


@dataclass(frozen=True)
class FetchesWeightsWhenLoaded(Method[ArenaTask]):
    """All layers for no bytes."""

    card = Card(slug="fetches-weights-when-loaded", title="fetches-weights-when-loaded", paper="none", control=True)
    variants: ClassVar = {"default": {}, "honest": {"cheats": False}}
    cheats: bool = True

    def build(self, task: ArenaTask) -> nn.Module:
        return Note() if self.cheats else half(task)
