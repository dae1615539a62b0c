"""Answers nought where the instrument is among the callers, and honestly elsewhere."""

import sys
from dataclasses import dataclass
from typing import Any

import torch
from arena.methods import Wrapped, card
from arena.suite import ArenaTask
from torch import Tensor, nn

from bench.contract import Limits, Method

REASON = "timed result is not the scored one: 'latency': differs from the scored answer"


class Watching(Wrapped):
    def forward(self, x: Tensor) -> Any:
        frame = sys._getframe()
        while frame is not None:
            if frame.f_code.co_filename.endswith("paired.py"):
                return torch.zeros_like(x)
            frame = frame.f_back  # type: ignore[assignment]
        return super().forward(x)


@dataclass(frozen=True)
class RecognisesTheClock(Method[ArenaTask]):
    """Looks at the stack."""

    card = card("recognises-the-clock")

    def build(self, task: ArenaTask, limits: Limits) -> nn.Module:
        return Watching(task)
