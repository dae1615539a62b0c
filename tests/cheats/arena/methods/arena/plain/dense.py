"""The baseline."""

from dataclasses import dataclass

from suites.arena.vectors import ArenaTask
from torch import nn

from bench.contract import Card, Method


@dataclass(frozen=True)
class Dense(Method[ArenaTask]):
    """All layers."""

    card = Card(slug="dense", title="Dense", paper="none", control=True)

    def build(self, task: ArenaTask) -> nn.Module:
        return task.base
