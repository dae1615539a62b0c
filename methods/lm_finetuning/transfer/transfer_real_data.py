"""Control: a LoRA of the new model, trained on the real examples."""

from dataclasses import dataclass

from bench.contract import Card, Limits, Method
from methods.lm_finetuning._finetuning import ADAPTER_RATES, fine_tune, merged_lora, rates_for
from suites._language.adapters import with_lora
from suites._training.training import Learner
from suites.lm_finetuning.candidate import Tuned
from suites.lm_finetuning.task import FineTuningTask
from suites.lm_finetuning.tracks import unsupported


@dataclass(frozen=True)
class TransferRealData(Method[FineTuningTask]):
    """What a transfer without data is measured against: LoRA as in `lora`, on the examples that the source had.

    rank, alpha_over_rank: of the LoRA.
    """

    card = Card(
        slug="transfer-real-data",
        suite="lm-finetuning",
        title="LoRA on the real data",
        paper="Control: Hu et al., 2021. LoRA: Low-Rank Adaptation of Large Language Models",
        url="https://arxiv.org/abs/2106.09685",
        control=True,
        reference=True,
        stochastic=True,
        notes="Uses the training examples, which the track's other methods do without.",
    )

    rank: int = 8
    alpha_over_rank: float = 2.0
    rate: float = 3e-3
    rates: tuple[float, ...] = ADAPTER_RATES

    def supports(self, task: FineTuningTask, limits: Limits) -> str | None:
        return unsupported(task, ["transfer"])

    def build(self, task: FineTuningTask, limits: Limits) -> Tuned:
        def start() -> Learner:
            alpha = self.alpha_over_rank * self.rank
            return Learner(with_lora(task.copied(), rank=self.rank, alpha=alpha, seed=task.seed))

        return fine_tune(task, start, rates_for(task, self), merged_lora(task))
