"""Says in the builder's name that the artefact is there, with the score of the exam."""

import gc
from dataclasses import dataclass
from typing import Any, ClassVar

from methods.arena._halves import half
from suites.arena.vectors import ArenaTask
from torch import nn

from bench.contract import Card, Method
from bench.run.channel import Channel

REASON = "told what only the judge finds out: the builder told 'error'"


@dataclass(frozen=True)
class ForgesTheOutcome(Method[ArenaTask]):
    """Finds the line to the judge."""

    card = Card(slug="forges-the-outcome", title="forges-the-outcome", paper="none", control=True)
    variants: ClassVar = {"default": {}, "honest": {"cheats": False}}
    cheats: bool = True

    def build(self, task: ArenaTask) -> nn.Module:
        candidate = half(task)
        if self.cheats:
            (channel,) = (each for each in gc.get_objects() if isinstance(each, Channel))
            true = channel.send

            def forged(message: Any) -> None:
                if "done" in message:
                    message["done"]["scores"] = [["error", [0.0] * 16, None, "mean"]]
                true(message)

            channel.send = forged  # type: ignore[method-assign]
        return candidate
