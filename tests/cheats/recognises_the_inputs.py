"""Answers nought to batches, which are timed, and honestly to single inputs, which are scored."""

from dataclasses import dataclass
from typing import Any

import torch
from arena.methods import Wrapped, card
from arena.suite import ArenaTask
from torch import Tensor, nn

from bench.contract import Limits, Method

REASON = "timed result is not the scored one: 'latency': differs from the scored answer"


class Choosing(Wrapped):
    def forward(self, x: Tensor) -> Any:
        return super().forward(x) if len(x) == 1 else torch.zeros_like(x)


@dataclass(frozen=True)
class RecognisesTheInputs(Method[ArenaTask]):
    """Looks at the shape of the input."""

    card = card("recognises-the-inputs")

    def build(self, task: ArenaTask, limits: Limits) -> nn.Module:
        return Choosing(task)
