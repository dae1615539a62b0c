"""Control: training on of all weights on right answers."""

from dataclasses import dataclass

from bench.contract import Built, Card, Method
from methods.lm_finetuning._finetuning import WEIGHT_RATES, rates_for
from methods.lm_finetuning.repair._repairing import BATCH, repaired
from suites.lm_finetuning.learning import AnswerLearner
from suites.lm_finetuning.repair import RepairTask


@dataclass(frozen=True)
class DomainAdaptiveTraining(Method[RepairTask]):
    """All weights learn the right answers to what the model says wrongly, by the next-token loss. Nothing holds the
    rest of its behaviour.

    batch: examples of a step.
    """

    card = Card(
        slug="domain-adaptive-training",
        title="Domain-adaptive training",
        problems=("repair",),
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

    def build(self, task: RepairTask) -> Built:
        return repaired(
            task, lambda: AnswerLearner(task.copied().requires_grad_(True)), rates_for(task, self), batch=self.batch
        )
