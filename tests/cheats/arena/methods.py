"""The baseline, and what an honest method does; cheats start from it."""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from arena.suite import DEPTH, ArenaTask
from bench.contract import Card, Limits, Method


def card(slug: str) -> Card:
    return Card(slug=slug, suite="arena", title=slug, paper="none", control=True)


@dataclass(frozen=True)
class Dense(Method[ArenaTask]):
    """All layers."""

    card = card("arena-dense")

    def build(self, task: ArenaTask, limits: Limits) -> nn.Module:
        return task.base


@dataclass(frozen=True)
class Honest(Method[ArenaTask]):
    """The first half of the layers."""

    card = card("arena-honest")

    def build(self, task: ArenaTask, limits: Limits) -> nn.Module:
        return half(task)


def half(task: ArenaTask) -> nn.Sequential:
    """A copy of the first half of the layers."""
    return copy.deepcopy(task.base[: DEPTH // 2])


class Wrapped(nn.Module):
    """The first half of the layers, for cheats that do something around them."""

    def __init__(self, task: ArenaTask) -> None:
        super().__init__()
        self.layers = half(task)

    def forward(self, x: torch.Tensor) -> Any:
        return self.layers(x)
