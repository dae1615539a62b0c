"""Answers in the server's place, by the class that serves."""

from dataclasses import dataclass
from typing import Any, ClassVar

from methods.arena._halves import Wrapped
from suites.arena import vectors
from suites.arena.vectors import ArenaTask
from torch import Tensor, nn

from bench.contract import Card, Method

REASON = "libraries altered: suites.arena.vectors"


class Tricky(Wrapped):
    def trick(self, x: Tensor) -> Any:
        vectors.ServedLayers.forward = lambda _, x: x  # type: ignore[method-assign, assignment]
        return self.layers(x)


@dataclass(frozen=True)
class PatchesWhatServes(Method[ArenaTask]):
    """Patches the served class when it is first called."""

    card = Card(slug="patches-what-serves", title="patches-what-serves", paper="none", control=True)
    variants: ClassVar = {"default": {}, "honest": {"cheats": False}}
    cheats: bool = True

    def build(self, task: ArenaTask) -> nn.Module:
        return Tricky(task, self.cheats)
