"""Control: DoRA (Liu et al., 2024), by peft."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from bench.contract import Built, Card, Method
from methods.lm_finetuning._finetuning import ADAPTER_RATES, rates_for
from methods.lm_finetuning.adaptation._peft import tune
from methods.lm_finetuning.adaptation._rank import fitting, over_memory, unmet
from suites._language.adapters import adapted, decoder_linears
from suites.lm_finetuning.adapt import AdaptationTask
from suites.lm_finetuning.learning import AnswerLearner


def directions_and_magnitudes(rank: int, outputs: int, inputs: int) -> int:
    """Parameters of B A and of the length of each row of the weight."""
    return rank * (outputs + inputs) + outputs


@dataclass(frozen=True)
class DoRA(Method[AdaptationTask]):
    """The weight as lengths times directions: LoRA turns the directions, the lengths train beside it.

    rank: the largest, cut to what the limits leave. alpha_over_rank: the update's scale.
    """

    card = Card(
        slug="dora",
        title="DoRA",
        problems=("adapt",),
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

    def supports(self, task: AdaptationTask) -> str | None:
        reason = unmet(task, self.rank, directions_and_magnitudes)
        # A step forms the whole turned weight of a layer to find the lengths: small models have no room for that.
        return reason or over_memory(task, lambda: self._smallest(task))

    def build(self, task: AdaptationTask) -> Built:
        fitted = fitting(task, self.rank, directions_and_magnitudes)
        assert fitted is not None
        rank, targets = fitted
        return tune(task, partial(self._begin, targets=targets, seed=task.seed), rank, rates_for(task, self))

    def _smallest(self, task: AdaptationTask) -> AnswerLearner:
        return AnswerLearner(self._begin(task.copied(), decoder_linears(task.model), task.seed, 1))

    def _begin(self, base: Any, targets: list[str], seed: int, rank: int) -> Any:
        from peft import LoraConfig

        alpha = self.alpha_over_rank * rank
        config = LoraConfig(r=rank, lora_alpha=round(alpha), use_dora=True, target_modules=targets)
        return adapted(base, config, seed)
