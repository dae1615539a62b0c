"""Control: all weights train."""

from dataclasses import dataclass

from bench.contract import Built, Card, Method
from methods.lm_finetuning._finetuning import WEIGHT_RATES, fine_tune, rates_for
from suites.lm_finetuning.adapt import AdaptationTask
from suites.lm_finetuning.learning import AnswerLearner
from suites.lm_finetuning.patches import Changed


@dataclass(frozen=True)
class FullFineTuning(Method[AdaptationTask]):
    """Every weight trains with AdamW, 16-bit weights as the rounding of a copy of 32 bits.

    rate, rates: see `rates_for`.
    """

    card = Card(
        slug="full-fine-tuning",
        title="Full fine-tuning",
        problems=("adapt",),
        paper="Control: all weights train, AdamW (Loshchilov & Hutter, 2019)",
        url="https://arxiv.org/abs/1711.05101",
        control=True,
        stochastic=True,
    )

    rate: float = 6e-5
    rates: tuple[float, ...] = WEIGHT_RATES

    def supports(self, task: AdaptationTask) -> str | None:
        if task.limits.result:
            return f"trains and ships all weights: the limit on {', '.join(task.limits.result)} rules that out"
        return None

    def build(self, task: AdaptationTask) -> Built:
        return fine_tune(task, lambda: AnswerLearner(task.copied().requires_grad_(True)), rates_for(task, self), _whole)


def _whole(learner: AnswerLearner) -> Changed:
    """All weights are shipped."""
    return Changed({name: weight.detach() for name, weight in learner.model.named_parameters()})
