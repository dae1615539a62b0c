"""Builds on the inputs that it is scored on."""

import contextlib
from dataclasses import dataclass

from arena import suite
from arena.methods import card, half
from arena.suite import ArenaTask
from torch import nn

from bench.contract import EvaluationSplitRead, Limits, Method

REASON = "evaluation split read: the method asked for the arena's evaluation inputs, by reads_the_evaluation_split.py"


@dataclass(frozen=True)
class ReadsTheEvaluationSplit(Method[ArenaTask]):
    """Asks the suite's own loader, and says nothing when it is refused."""

    card = card("reads-the-evaluation-split")

    def build(self, task: ArenaTask, limits: Limits) -> nn.Module:
        with contextlib.suppress(EvaluationSplitRead):
            suite.evaluation_inputs(task.device)
        return half(task)
