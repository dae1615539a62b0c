"""Takes more threads than the run has."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from methods.arena._halves import Wrapped
from suites.arena.vectors import ArenaTask
from torch import Tensor, nn

from bench.contract import Card, Method

REASON = "libraries altered: the number of threads"


class Tricky(Wrapped):
    def trick(self, x: Tensor) -> Any:
        torch.set_num_threads(4)
        return self.layers(x)


@dataclass(frozen=True)
class ChangesSettings(Method[ArenaTask]):
    """By the library's own setting."""

    card = Card(slug="changes-settings", title="changes-settings", paper="none", control=True)
    variants: ClassVar = {"default": {}, "honest": {"cheats": False}}
    cheats: bool = True

    def build(self, task: ArenaTask) -> nn.Module:
        return Tricky(task, self.cheats)
