"""Asks for the evaluation inputs in the forward pass, while the suite scores and the split is open."""

import contextlib
from dataclasses import dataclass
from typing import Any

from arena import suite
from arena.methods import Wrapped, card
from arena.suite import ArenaTask
from torch import Tensor, nn

from bench.contract import EvaluationSplitRead, Limits, Method

REASON = (
    "evaluation split read: the method asked for the arena's evaluation inputs, "
    "by reads_the_evaluation_split_while_scored.py"
)


class Peeping(Wrapped):
    def forward(self, x: Tensor) -> Any:
        with contextlib.suppress(EvaluationSplitRead):
            suite.evaluation_inputs("cpu")
        return super().forward(x)


@dataclass(frozen=True)
class ReadsTheEvaluationSplitWhileScored(Method[ArenaTask]):
    """Waits for the moment at which the suite itself may read."""

    card = card("reads-the-evaluation-split-while-scored")

    def build(self, task: ArenaTask, limits: Limits) -> nn.Module:
        return Peeping(task)
