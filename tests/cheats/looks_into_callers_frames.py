"""Looks for the answers among the local names of its callers."""

import sys
from dataclasses import dataclass
from typing import Any, ClassVar

from methods.arena._halves import Wrapped
from suites.arena.vectors import ArenaTask
from torch import Tensor, nn

from bench.contract import Card, Method

REASON = "RuntimeError: no answers here"


class Tricky(Wrapped):
    def trick(self, x: Tensor) -> Any:
        frame = sys._getframe()
        while frame is not None:
            if "answers" in frame.f_locals:
                return frame.f_locals["answers"]
            frame = frame.f_back  # type: ignore[assignment]
        raise RuntimeError("no answers here")


@dataclass(frozen=True)
class LooksIntoCallersFrames(Method[ArenaTask]):
    """By the stack."""

    card = Card(slug="looks-into-callers-frames", title="looks-into-callers-frames", paper="none", control=True)
    variants: ClassVar = {"default": {}, "honest": {"cheats": False}}
    cheats: bool = True

    def build(self, task: ArenaTask) -> nn.Module:
        return Tricky(task, self.cheats)
