"""Leaves layers out while its operators are counted."""

from dataclasses import dataclass
from typing import Any, ClassVar

from methods.arena._halves import Wrapped
from suites.arena.vectors import ArenaTask
from torch import Tensor, nn
from torch.utils._python_dispatch import _get_current_dispatch_mode

from bench.contract import Card, Method

REASON = "counted work is not the timed work"


class Tricky(Wrapped):
    def trick(self, x: Tensor) -> Any:
        rounds = 1 if _get_current_dispatch_mode() is not None else 3
        for _ in range(rounds):
            x = self.layers(x)
        return x


@dataclass(frozen=True)
class SkipsWhenCounted(Method[ArenaTask]):
    """Sees that it is observed."""

    card = Card(slug="skips-when-counted", title="skips-when-counted", paper="none", control=True)
    variants: ClassVar = {"default": {}, "honest": {"cheats": False}}
    cheats: bool = True

    def build(self, task: ArenaTask) -> nn.Module:
        return Tricky(task, self.cheats)
