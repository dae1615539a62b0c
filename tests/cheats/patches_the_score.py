"""Replaces the function by which the suite compares answers."""

import sys
from dataclasses import dataclass

import torch
from arena.methods import card, half
from arena.suite import ArenaTask
from torch import nn

from bench.contract import Limits, Method

REASON = "instruments altered: arena.suite._squared"


@dataclass(frozen=True)
class PatchesTheScore(Method[ArenaTask]):
    """Every difference is nought."""

    card = card("patches-the-score")

    def build(self, task: ArenaTask, limits: Limits) -> nn.Module:
        sys.modules["arena.suite"]._squared = lambda a, b: torch.zeros(())  # type: ignore[attr-defined]
        return half(task)
