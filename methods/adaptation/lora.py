"""Control: LoRA (Hu et al., 2021), by peft."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.contract import Card, Limits, Method
from methods._finetuning import ADAPTER_RATES, fine_tune
from methods.adaptation._rank import rank_for, targets_for, unmet
from suites.lm_finetuning.candidate import Tuned
from suites.lm_finetuning.lora import merged, read_lora, updates, with_peft_lora
from suites.lm_finetuning.task import FineTuningTask
from suites.lm_finetuning.training import Learner


@dataclass(frozen=True)
class LoRAControl(Method[FineTuningTask]):
    """Each linear layer of the blocks learns an update B A of low rank, merged into its weight at the end.

    rank: the largest, cut to what the limit on shipped parameters leaves. alpha_over_rank: the update's scale.
    """

    card = Card(
        slug="lora",
        suite="lm-finetuning",
        title="LoRA",
        paper="Control: Hu et al., 2021. LoRA: Low-Rank Adaptation of Large Language Models",
        url="https://arxiv.org/abs/2106.09685",
        control=True,
        stochastic=True,
        notes="By peft, on all linear layers of the blocks, as later practice has it (the paper: queries and values).",
    )
    rank: int = 8
    alpha_over_rank: float = 2.0
    rates: tuple[float, ...] = ADAPTER_RATES

    def supports(self, task: FineTuningTask, limits: Limits) -> str | None:
        return unmet(task, limits)

    def build(self, task: FineTuningTask, limits: Limits) -> Tuned:
        rank, targets = rank_for(task, limits, self.rank), targets_for(task, limits)

        def start() -> Learner:
            model = task.copied()
            return Learner(
                with_peft_lora(model, rank=rank, alpha=self.alpha_over_rank * rank, seed=task.seed, targets=targets)
            )

        def finish(learner: Learner) -> tuple[Any, Mapping[str, Any]]:
            found = read_lora(learner.model)
            return merged(task.model, updates(found)), found.tensors

        return fine_tune(task, start, self.rates, finish)
