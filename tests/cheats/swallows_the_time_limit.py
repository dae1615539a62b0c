"""Builds without an end, and swallows whatever would stop it."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from methods.arena._halves import half
from suites.arena.vectors import ArenaTask
from torch import nn

from bench.contract import Card, Method

REASON = "build_seconds: "
STATUS = "over_budget"


@dataclass(frozen=True)
class SwallowsTheTimeLimit(Method[ArenaTask]):
    """except BaseException."""

    card = Card(slug="swallows-the-time-limit", title="swallows-the-time-limit", paper="none", control=True)
    variants: ClassVar = {"default": {}, "honest": {"cheats": False}}
    cheats: bool = True

    def build(self, task: ArenaTask) -> nn.Module:
        while self.cheats:
            try:
                torch.randn(200, 200) @ torch.randn(200, 200)
            except BaseException:
                continue
        return half(task)
