"""CUDA: launches the work on a stream of its own and does not wait for it."""

from dataclasses import dataclass
from typing import Any

import torch
from arena.methods import Wrapped, card
from arena.suite import ArenaTask
from torch import Tensor, nn

from bench.contract import Limits, Method

REASON = "work not done when the step returned"
DEVICE = "cuda"


class Aside(Wrapped):
    def forward(self, x: Tensor) -> Any:
        if not hasattr(self, "stream"):
            self.stream = torch.cuda.Stream()
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            torch.cuda._sleep(20_000_000)  # some 10 ms of work that nobody counts
            answer = super().forward(x)
        if len(x) == 1:  # where it is scored it waits
            torch.cuda.current_stream().wait_stream(self.stream)
        return answer


@dataclass(frozen=True)
class HidesWorkOnAStream(Method[ArenaTask]):
    """The stream that the instrument's events are on stays empty."""

    card = card("hides-work-on-a-stream")

    def build(self, task: ArenaTask, limits: Limits) -> nn.Module:
        return Aside(task)
