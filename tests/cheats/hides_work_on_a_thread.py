"""Returns at once and lets a thread fill in the answer."""

import threading
import time
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from methods.arena._halves import Wrapped
from suites.arena.vectors import ArenaTask
from torch import Tensor, nn

from bench.contract import Card, Method

REASON = "work not done when the step returned: the result of 'latency' was still being written"


class Tricky(Wrapped):
    def trick(self, x: Tensor) -> Any:
        answer = torch.zeros_like(x)
        if len(x) == 1:
            return answer.copy_(self.layers(x))

        def work() -> None:
            time.sleep(0.01)  # long enough that a busy machine cannot hide it
            with torch.inference_mode():
                answer.copy_(self.layers(x))

        threading.Thread(target=work).start()
        return answer


@dataclass(frozen=True)
class HidesWorkOnAThread(Method[ArenaTask]):
    """Timed batches go to a thread; single inputs, which are scored, are done in place."""

    card = Card(slug="hides-work-on-a-thread", title="hides-work-on-a-thread", paper="none", control=True)
    variants: ClassVar = {"default": {}, "honest": {"cheats": False}}
    cheats: bool = True

    def build(self, task: ArenaTask) -> nn.Module:
        return Tricky(task, self.cheats)
