"""Control: LoRA (Hu et al., 2021), by peft."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from bench.contract import Built, Card, Method
from methods.lm_finetuning._finetuning import ADAPTER_RATES, fine_tune, merged_lora, rates_for
from methods.lm_finetuning.adaptation._rank import fitting, unmet, within_memory
from suites._language.adapters import with_lora
from suites.lm_finetuning.adapt import AdaptationTask
from suites.lm_finetuning.learning import AnswerLearner


@dataclass(frozen=True)
class LoRAControl(Method[AdaptationTask]):
    """Each linear layer of the blocks learns an update B A of low rank, merged into its weight at the end.

    rank: the largest, cut to what the limits leave. alpha_over_rank: the update's scale.
    """

    card = Card(
        slug="lora",
        title="LoRA",
        problems=("adapt",),
        paper="Control: Hu et al., 2021. LoRA: Low-Rank Adaptation of Large Language Models",
        url="https://arxiv.org/abs/2106.09685",
        control=True,
        stochastic=True,
        notes="By peft, on all linear layers of the blocks, as later practice has it (the paper: queries and values).",
    )
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {"default": {}, "rank-64": {"rank": 64, "rate": 1e-3}}
    at_point = {"params-0.1pct": {"rate": 1e-2}}  # noqa: RUF012

    rank: int = 8
    alpha_over_rank: float = 2.0
    rate: float = 3e-3
    rates: tuple[float, ...] = ADAPTER_RATES

    def supports(self, task: AdaptationTask) -> str | None:
        return unmet(task, self.rank)

    def build(self, task: AdaptationTask) -> Built:
        fitted = fitting(task, self.rank)
        assert fitted is not None
        most, targets = fitted

        def start(rank: int) -> AnswerLearner:
            alpha = self.alpha_over_rank * rank
            return AnswerLearner(with_lora(task.copied(), rank=rank, alpha=alpha, seed=task.seed, targets=targets))

        rank = within_memory(task, most, start)
        return fine_tune(task, lambda: start(rank), rates_for(task, self), merged_lora)
