"""Replaces an operator's kernel for all models of the process."""

from dataclasses import dataclass
from typing import Any, ClassVar

from methods.arena._halves import Wrapped
from suites.arena.vectors import ArenaTask
from torch import Tensor, nn
from torch.nn import functional

from bench.contract import Card, Method

REASON = "libraries altered: torch.nn.functional.linear is not what it was"


class Tricky(Wrapped):
    def trick(self, x: Tensor) -> Any:
        functional.linear = lambda x, *_: x
        return self.layers(x)


@dataclass(frozen=True)
class PatchesAnOperator(Method[ArenaTask]):
    """By the dispatch table."""

    card = Card(slug="patches-an-operator", title="patches-an-operator", paper="none", control=True)
    variants: ClassVar = {"default": {}, "honest": {"cheats": False}}
    cheats: bool = True

    def build(self, task: ArenaTask) -> nn.Module:
        return Tricky(task, self.cheats)
