"""What honest methods do; cheats start from it."""

import copy
from typing import Any

from suites.arena.vectors import DEPTH, ArenaTask
from torch import Tensor, nn


def half(task: ArenaTask) -> nn.Sequential:
    """A copy of the first half of the layers."""
    return copy.deepcopy(task.base[: DEPTH // 2])


class Wrapped(nn.Module):
    """The first half of the layers, for cheats that do something around them. cheats: or do not."""

    def __init__(self, task: ArenaTask, cheats: bool = True) -> None:
        super().__init__()
        self.layers, self.cheats = half(task), cheats

    def forward(self, x: Tensor) -> Any:
        return self.trick(x) if self.cheats else self.layers(x)

    def trick(self, x: Tensor) -> Any:
        raise NotImplementedError
