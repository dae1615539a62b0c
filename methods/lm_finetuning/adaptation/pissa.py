"""Control: PiSSA (Meng et al., 2024), by peft."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from bench.contract import Built, Card, Method
from methods.lm_finetuning._finetuning import rates_for
from methods.lm_finetuning.adaptation._peft import tune
from methods.lm_finetuning.adaptation._rank import fitting, unmet
from suites._language.adapters import adapted
from suites.lm_finetuning.adapt import AdaptationTask


@dataclass(frozen=True)
class PiSSA(Method[AdaptationTask]):
    """LoRA whose factors start as the principal singular components of the weight, which leave the frozen part.

    rank: the largest, cut to what the limits leave. rates: below LoRA's, as the factors start at the weight's own
    scale and neither is zero.
    """

    card = Card(
        slug="pissa",
        title="PiSSA",
        problems=("adapt",),
        paper="Control: Meng et al., 2024. PiSSA: Principal Singular Values and Singular Vectors Adaptation of Large "
        "Language Models",
        url="https://arxiv.org/abs/2404.02948",
        control=True,
        stochastic=True,
        notes="By peft, with the exact decomposition, on all linear layers of the blocks. The frozen rest is rounded "
        "to the base's 16 bits. Shipped are the trained factors: who has the base finds the rest by the same "
        "decomposition.",
    )
    at_point = {"params-0.1pct": {"rate": 9e-3}}  # noqa: RUF012

    rank: int = 8
    rate: float = 1e-3
    rates: tuple[float, ...] = (1e-4, 3e-4, 1e-3)

    def supports(self, task: AdaptationTask) -> str | None:
        return unmet(task, self.rank)

    def build(self, task: AdaptationTask) -> Built:
        fitted = fitting(task, self.rank)
        assert fitted is not None
        rank, targets = fitted
        return tune(task, partial(_begin, targets=targets, seed=task.seed), rank, rates_for(task, self))


def _begin(base: Any, targets: list[str], seed: int, rank: int) -> Any:
    """By peft."""
    from peft import LoraConfig

    config = LoraConfig(r=rank, lora_alpha=rank, init_lora_weights="pissa", target_modules=targets)
    return adapted(base, config, seed)
