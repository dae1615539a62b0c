"""Control: all weights train."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from bench.contract import Card, Limits, Method
from methods.lm_finetuning._finetuning import WEIGHT_RATES, fine_tune, rates_for
from suites._training.training import Learner
from suites.lm_finetuning.candidate import Tuned
from suites.lm_finetuning.task import FineTuningTask
from suites.lm_finetuning.tracks import unsupported


@dataclass(frozen=True)
class FullFineTuning(Method[FineTuningTask]):
    """Every weight trains with AdamW, 16-bit weights as the rounding of a copy of 32 bits.

    rate, rates: see `rates_for`.
    """

    card = Card(
        slug="full-fine-tuning",
        suite="lm-finetuning",
        title="Full fine-tuning",
        paper="Control: all weights train, AdamW (Loshchilov & Hutter, 2019)",
        url="https://arxiv.org/abs/1711.05101",
        control=True,
        stochastic=True,
    )

    rate: float = 6e-5
    rates: tuple[float, ...] = WEIGHT_RATES

    def supports(self, task: FineTuningTask, limits: Limits) -> str | None:
        if reason := unsupported(task, ["adapt"]):
            return reason
        if limits.result:
            return f"trains and ships all weights: the limit on {', '.join(limits.result)} rules that out"
        return None

    def build(self, task: FineTuningTask, limits: Limits) -> Tuned:
        return fine_tune(task, lambda: Learner(task.copied().requires_grad_(True)), rates_for(task, self), _whole)


def _whole(learner: Learner) -> tuple[Any, dict[str, Tensor]]:
    """The trained model; its weights are shipped."""
    return learner.model, {name: weight.detach() for name, weight in learner.model.named_parameters()}
