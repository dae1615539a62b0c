"""Keeps what it has answered, by input."""

from dataclasses import dataclass
from typing import Any, ClassVar

from methods.arena._halves import Wrapped
from suites.arena.vectors import ArenaTask
from torch import Tensor, nn

from bench.contract import Card, Method

REASON = "outputs remembered: 'latency'"


class Tricky(Wrapped):
    answers: ClassVar[dict[bytes, Tensor]] = {}

    def trick(self, x: Tensor) -> Any:
        name = x[0, :8].cpu().tolist().__repr__().encode() + bytes(len(x) % 251)
        if name not in self.answers:
            self.answers[name] = self.layers(x)
        return self.answers[name]


@dataclass(frozen=True)
class RemembersOutputs(Method[ArenaTask]):
    """A dictionary."""

    card = Card(slug="remembers-outputs", title="remembers-outputs", paper="none", control=True)
    variants: ClassVar = {"default": {}, "honest": {"cheats": False}}
    cheats: bool = True

    def build(self, task: ArenaTask) -> nn.Module:
        return Tricky(task, self.cheats)
