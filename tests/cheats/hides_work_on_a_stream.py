"""CUDA: launches the work on a stream of its own and does not wait for it."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from methods.arena._halves import Wrapped
from suites.arena.vectors import ArenaTask
from torch import Tensor, nn

from bench.contract import Card, Method

REASON = "work not done when the step returned"
DEVICE = "cuda"


class Tricky(Wrapped):
    def trick(self, x: Tensor) -> Any:
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            torch.cuda._sleep(20_000_000)  # some 10 ms of work that nobody counts
            answer = self.layers(x)
        if len(x) == 1:  # where it is scored it waits
            torch.cuda.current_stream().wait_stream(stream)
        return answer


@dataclass(frozen=True)
class HidesWorkOnAStream(Method[ArenaTask]):
    """The stream that the instrument's events are on stays empty."""

    card = Card(slug="hides-work-on-a-stream", title="hides-work-on-a-stream", paper="none", control=True)
    variants: ClassVar = {"default": {}, "honest": {"cheats": False}}
    cheats: bool = True

    def build(self, task: ArenaTask) -> nn.Module:
        return Tricky(task, self.cheats)
