"""Control: a LoRA of the new model, trained on the real examples."""

from dataclasses import dataclass

from bench.contract import Built, Card, Method
from methods.lm_finetuning._finetuning import ADAPTER_RATES, fine_tune, merged_lora, rates_for
from suites._language.adapters import with_lora
from suites.lm_finetuning.learning import AnswerLearner
from suites.lm_finetuning.transfer import TransferTask


@dataclass(frozen=True)
class TransferRealData(Method[TransferTask]):
    """What a transfer without data is measured against: LoRA as in `lora`, on the examples that the source had.

    rank, alpha_over_rank: of the LoRA.
    """

    card = Card(
        slug="transfer-real-data",
        title="LoRA on the real data",
        problems=("transfer",),
        paper="Control: Hu et al., 2021. LoRA: Low-Rank Adaptation of Large Language Models",
        url="https://arxiv.org/abs/2106.09685",
        control=True,
        reference=True,
        stochastic=True,
        notes="Uses the training examples, which the problem's other methods do without.",
    )

    rank: int = 8
    alpha_over_rank: float = 2.0
    rate: float = 3e-3
    rates: tuple[float, ...] = ADAPTER_RATES

    def build(self, task: TransferTask) -> Built:
        def start() -> AnswerLearner:
            alpha = self.alpha_over_rank * self.rank
            return AnswerLearner(with_lora(task.copied(), rank=self.rank, alpha=alpha, seed=task.seed))

        return fine_tune(task, start, rates_for(task, self), merged_lora)
