"""Answers nought to batches, which are timed, and honestly to single inputs, which are scored."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from methods.arena._halves import Wrapped
from suites.arena.vectors import ArenaTask
from torch import Tensor, nn

from bench.contract import Card, Method

REASON = "timed result is not the scored one: 'latency': differs from the scored answer"


class Tricky(Wrapped):
    def trick(self, x: Tensor) -> Any:
        return self.layers(x) if len(x) == 1 else self.layers(torch.zeros_like(x))


@dataclass(frozen=True)
class RecognisesTheInputs(Method[ArenaTask]):
    """Looks at the shape of the input."""

    card = Card(slug="recognises-the-inputs", title="recognises-the-inputs", paper="none", control=True)
    variants: ClassVar = {"default": {}, "honest": {"cheats": False}}
    cheats: bool = True

    def build(self, task: ArenaTask) -> nn.Module:
        return Tricky(task, self.cheats)
