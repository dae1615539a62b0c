"""Halves the stamps of the stopwatch that stands beside it, on the very object."""

import gc
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from methods.arena._halves import Wrapped
from suites.arena.vectors import ArenaTask
from torch import Tensor, nn

from bench.contract import Card, Method
from bench.measure.clock import Stopwatch

REASON = "stamps that the judge's own clock contradicts"


def _shorter(result: Any, stamps: Any) -> Any:
    return result, replace(stamps, wall=stamps.wall / 10, thread=stamps.thread / 10, processor=stamps.processor / 10)


class Tricky(Wrapped):
    done = False

    def trick(self, x: Tensor) -> Any:
        if not type(self).done:
            type(self).done = True
            for watch in [each for each in gc.get_objects() if isinstance(each, Stopwatch)]:
                true = watch.time
                watch.time = lambda run, true=true: _shorter(*true(run))  # type: ignore[method-assign, misc]
        return self.layers(x)


@dataclass(frozen=True)
class PatchesTheClock(Method[ArenaTask]):
    """No library is altered."""

    card = Card(slug="patches-the-clock", title="patches-the-clock", paper="none", control=True)
    variants: ClassVar = {"default": {}, "honest": {"cheats": False}}
    cheats: bool = True

    def build(self, task: ArenaTask) -> nn.Module:
        return Tricky(task, self.cheats)
