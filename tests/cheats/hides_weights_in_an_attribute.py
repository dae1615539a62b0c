"""Keeps all layers, most of them where the state dict does not look."""

from dataclasses import dataclass
from typing import Any

import torch
from arena.methods import card
from arena.suite import WIDTH, ArenaTask
from torch import Tensor, nn

from bench.contract import Limits, Method

REASON = "bytes hidden: the candidate holds"


class Small(nn.Module):
    def __init__(self, task: ArenaTask) -> None:
        super().__init__()
        self.first = nn.Linear(WIDTH, WIDTH)
        hidden = [torch.randn(1024, 1024) for _ in range(3)]
        self.rest = lambda x: x + hidden[0][:WIDTH, 0]

    def forward(self, x: Tensor) -> Any:
        return self.rest(self.first(x))


@dataclass(frozen=True)
class HidesWeightsInAnAttribute(Method[ArenaTask]):
    """In the closure of a function."""

    card = card("hides-weights-in-an-attribute")

    def build(self, task: ArenaTask, limits: Limits) -> nn.Module:
        return Small(task)
