"""Answers nought where the stopwatch is among the callers, and honestly elsewhere."""

import sys
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from methods.arena._halves import Wrapped
from suites.arena.vectors import ArenaTask
from torch import Tensor, nn

from bench.contract import Card, Method

REASON = "counted work is not the timed work"


class Tricky(Wrapped):
    def trick(self, x: Tensor) -> Any:
        frame = sys._getframe()
        while frame is not None:
            if frame.f_code.co_filename.endswith("/clock.py"):
                return torch.zeros_like(x)
            frame = frame.f_back  # type: ignore[assignment]
        return self.layers(x)


@dataclass(frozen=True)
class RecognisesTheClock(Method[ArenaTask]):
    """Looks at the stack."""

    card = Card(slug="recognises-the-clock", title="recognises-the-clock", paper="none", control=True)
    variants: ClassVar = {"default": {}, "honest": {"cheats": False}}
    cheats: bool = True

    def build(self, task: ArenaTask) -> nn.Module:
        return Tricky(task, self.cheats)
