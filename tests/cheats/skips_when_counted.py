"""Leaves layers out while its operators are counted."""

from dataclasses import dataclass
from typing import Any

import torch
from arena.methods import card
from arena.suite import ArenaTask
from torch import Tensor, nn
from torch.utils._python_dispatch import _get_current_dispatch_mode

from bench.contract import Limits, Method

REASON = "counted work is not the timed work"


class Ashamed(nn.Module):
    def __init__(self, task: ArenaTask) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.stack([layer.weight for layer in task.base[:4]]))

    def forward(self, x: Tensor) -> Any:
        rounds = 1 if _get_current_dispatch_mode() is not None else 3
        for _ in range(rounds):
            for weight in self.weight:
                x = x @ weight
        return x


@dataclass(frozen=True)
class SkipsWhenCounted(Method[ArenaTask]):
    """Sees that it is observed."""

    card = card("skips-when-counted")

    def build(self, task: ArenaTask, limits: Limits) -> nn.Module:
        return Ashamed(task)
