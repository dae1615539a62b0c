"""Control: training on of all weights on right answers."""

from dataclasses import dataclass

from bench.contract import Card, Limits, Method
from methods.lm_finetuning._finetuning import WEIGHT_RATES, rates_for
from methods.lm_finetuning.repair._repairing import BATCH, repaired
from suites._training.training import Learner
from suites.lm_finetuning.candidate import Tuned
from suites.lm_finetuning.task import FineTuningTask
from suites.lm_finetuning.tracks import unsupported


@dataclass(frozen=True)
class DomainAdaptiveTraining(Method[FineTuningTask]):
    """All weights learn the right answers to what the model says wrongly, by the next-token loss. Nothing holds the
    rest of its behaviour.

    batch: examples of a step.
    """

    card = Card(
        slug="domain-adaptive-training",
        suite="lm-finetuning",
        title="Domain-adaptive training",
        paper="Control: Gururangan et al., 2020. Don't Stop Pretraining: Adapt Language Models to Domains and Tasks",
        url="https://arxiv.org/abs/2004.10964",
        control=True,
        stochastic=True,
        notes="The domain is that of the right answers, whose tokens alone are learned; the paper goes on with whole "
        "documents of a domain. With a KL term to the faulty model it is irepair:whole-model.",
    )

    batch: int = BATCH
    rate: float = 2e-5
    rates: tuple[float, ...] = WEIGHT_RATES

    def supports(self, task: FineTuningTask, limits: Limits) -> str | None:
        return unsupported(task, ["repair"])

    def build(self, task: FineTuningTask, limits: Limits) -> Tuned:
        return repaired(
            task, lambda: Learner(task.copied().requires_grad_(True)), rates_for(task, self), batch=self.batch
        )
