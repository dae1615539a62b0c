"""Control: DoRA (Liu et al., 2024), by peft."""

from dataclasses import dataclass
from typing import Any

from bench.contract import Card, Limits, Method
from methods.lm_finetuning._finetuning import ADAPTER_RATES, rates_for
from methods.lm_finetuning.adaptation._peft import tune
from methods.lm_finetuning.adaptation._rank import fitting, over_memory, unmet
from suites._language.adapters import adapted, decoder_linears
from suites._training.training import Learner
from suites.lm_finetuning.candidate import Tuned
from suites.lm_finetuning.task import FineTuningTask


def directions_and_magnitudes(rank: int, outputs: int, inputs: int) -> int:
    """Parameters of B A and of the length of each row of the weight."""
    return rank * (outputs + inputs) + outputs


@dataclass(frozen=True)
class DoRA(Method[FineTuningTask]):
    """The weight as lengths times directions: LoRA turns the directions, the lengths train beside it.

    rank: the largest, cut to what the limits leave. alpha_over_rank: the update's scale.
    """

    card = Card(
        slug="dora",
        suite="lm-finetuning",
        title="DoRA",
        paper="Control: Liu et al., 2024. DoRA: Weight-Decomposed Low-Rank Adaptation",
        url="https://arxiv.org/abs/2402.09353",
        control=True,
        stochastic=True,
        notes="By peft, on all linear layers of the blocks. The lengths are shipped besides LoRA's factors.",
    )
    at_point = {"params-0.1pct": {"rate": 1e-2}}  # noqa: RUF012

    rank: int = 8
    alpha_over_rank: float = 2.0
    rate: float = 3e-3
    rates: tuple[float, ...] = ADAPTER_RATES

    def supports(self, task: FineTuningTask, limits: Limits) -> str | None:
        reason = unmet(task, limits, self.rank, directions_and_magnitudes)
        # A step forms the whole turned weight of a layer to find the lengths: small models have no room for that.
        return reason or over_memory(task, limits, lambda: Learner(self._begin(task, decoder_linears(task.model), 1)))

    def build(self, task: FineTuningTask, limits: Limits) -> Tuned:
        fitted = fitting(task, limits, self.rank, directions_and_magnitudes)
        assert fitted is not None
        rank, targets = fitted
        return tune(task, lambda rank: self._begin(task, targets, rank), rank, rates_for(task, self))

    def _begin(self, task: FineTuningTask, targets: list[str], rank: int) -> Any:
        from peft import LoraConfig

        alpha = self.alpha_over_rank * rank
        config = LoraConfig(r=rank, lora_alpha=round(alpha), use_dora=True, target_modules=targets)
        return adapted(task.copied(), config, task.seed)
