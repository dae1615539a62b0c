"""Asks the judge for data under the name of no supply that it knows, and by itself."""

import gc
from dataclasses import dataclass
from typing import ClassVar

from methods.arena._halves import half
from suites.arena.vectors import ArenaTask
from torch import nn

from bench.contract import Card, Method
from bench.run.channel import Channel

REASON = "examples: 128 is over the limit of 64"
STATUS = "over_budget"


@dataclass(frozen=True)
class DrawsUnmetered(Method[ArenaTask]):
    """By the line to the judge."""

    card = Card(slug="draws-unmetered", title="draws-unmetered", paper="none", control=True)
    variants: ClassVar = {"default": {}, "honest": {"cheats": False}}
    cheats: bool = True

    def build(self, task: ArenaTask) -> nn.Module:
        if self.cheats:
            (channel,) = (each for each in gc.get_objects() if isinstance(each, Channel))
            channel.ask({"take": "examples", "wanted": list(range(64))})
            again = channel.ask({"take": "examples", "wanted": list(range(64))})
            if "data" not in again:
                raise RuntimeError("it was metered")
        return half(task)
