"""Control: AdaLoRA (Zhang et al., 2023), by peft."""

import math
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from bench.contract import Built, Card, Method
from methods._techniques.orthogonality import distance_from_orthonormal
from methods.lm_finetuning._finetuning import ADAPTER_RATES, fine_tune, rates_for
from methods.lm_finetuning.adaptation._rank import (
    fitting,
    shipped_parameters,
    unmet,
    with_singular_values,
    within_memory,
)
from methods.lm_finetuning.adaptation._triplets import Triplets
from suites._language.adapters import adapted
from suites._training.learner import Moment
from suites.lm_finetuning.adapt import AdaptationTask
from suites.lm_finetuning.learning import AnswerLearner


@dataclass(frozen=True)
class AdaLoRA(Method[AdaptationTask]):
    """Updates B diag(E) A that start with more rank than they may keep; the least important triplets are masked.

    rank: average at the end, cut to what the limits leave. start_over_rank: at the start. alpha_over_rank: the
    update's scale. warm_up, final: shares of the training before the first masking and after the last change.
    orthogonality: weight of the penalty.
    """

    card = Card(
        slug="adalora",
        title="AdaLoRA",
        problems=("adapt",),
        paper="Control: Zhang et al., 2023. AdaLoRA: Adaptive Budget Allocation for Parameter-Efficient Fine-Tuning",
        url="https://arxiv.org/abs/2303.10512",
        control=True,
        stochastic=True,
        differences=(
            "Layers, importance, schedule and masking are peft's; the penalty is added to our own loss.",
            "The budget counts parameters, not ranks: no more are shipped than by a LoRA of the average rank.",
            "Masks are found anew in every step (the paper: every 10 to 200), as a training has few steps here.",
        ),
    )
    at_point = {"params-0.1pct": {"rate": 9e-2}}  # noqa: RUF012

    rank: int = 8
    start_over_rank: float = 1.5
    alpha_over_rank: float = 2.0
    warm_up: float = 0.1
    final: float = 0.4
    orthogonality: float = 0.5
    rate: float = 1e-2
    rates: tuple[float, ...] = ADAPTER_RATES

    def supports(self, task: AdaptationTask) -> str | None:
        return unmet(task, self.rank, with_singular_values)

    def build(self, task: AdaptationTask) -> Built:
        fitted = fitting(task, self.rank, with_singular_values)
        assert fitted is not None
        most, targets = fitted

        def start(rank: int) -> "Masked":
            allowed = shipped_parameters(task, targets, rank, with_singular_values)
            return Masked(self._begin(task, targets, rank), allowed, self.warm_up, self.final, self.orthogonality)

        rank = within_memory(task, most, start)
        return fine_tune(task, lambda: start(rank), rates_for(task, self), _finished)

    def _begin(self, task: AdaptationTask, targets: list[str], rank: int) -> Any:
        from peft import AdaLoraConfig

        first = math.ceil(self.start_over_rank * rank)
        config = AdaLoraConfig(
            init_r=first,
            target_r=rank,
            lora_alpha=round(self.alpha_over_rank * first),
            total_step=1,  # the learner says how many there are
            target_modules=targets,
        )
        return adapted(task.copied(), config, task.seed)


class Masked(AnswerLearner):
    """Masks triplets after each step, as peft's allocator ranks them. allowed: parameters that may be left."""

    def __init__(self, model: Any, allowed: int, warm_up: float, final: float, orthogonality: float) -> None:
        super().__init__(model)
        self._allowed, self._warm_up, self._final, self._orthogonality = allowed, warm_up, final, orthogonality
        self._budget = self._allocator.target_bgt

    @property
    def _allocator(self) -> Any:
        return self.model.base_model.rankallocator

    def layers(self) -> dict[str, Any]:
        """The adapted layers by name."""
        inner = self.model.base_model.model
        return {name: module for name, module in inner.named_modules() if hasattr(module, "lora_E")}

    def penalty(self) -> Tensor:
        factors = ((each.lora_A["default"], each.lora_B["default"]) for each in self.layers().values())
        return self._orthogonality * distance_from_orthonormal(factors)

    def before_update(self, moment: Moment) -> None:
        config = self._allocator.peft_config
        config.total_step = moment.steps
        config.tinit, config.tfinal = round(self._warm_up * moment.steps), round(self._final * moment.steps)
        if _step(moment) < config.total_step - config.tfinal or not self._allocator.ipt:
            self._allocator.update_ipt(self.model.base_model.model)

    def after_update(self, moment: Moment) -> None:
        budget, due = self._allocator.budget_schedule(_step(moment))
        if due and budget <= self._allocator.target_bgt:
            self.settle()
        elif due:
            self._mask(budget)

    def settle(self) -> dict[str, list[bool]]:
        """Mask down to the final budget: the most ranks whose parameters are within what may be left. By layer: which
        triplets are kept."""
        while True:
            kept = self._mask(self._budget)
            over = sum(self._per_triplet(name) * sum(which) for name, which in kept.items()) - self._allowed
            if over <= 0:
                return kept
            self._budget -= max(1, over // max(map(self._per_triplet, kept)))

    def _mask(self, budget: int) -> dict[str, list[bool]]:
        found = self._allocator.mask_to_budget(self.model.base_model.model, budget)
        return {name.removesuffix(".lora_E.default"): which for name, which in found.items()}

    def _per_triplet(self, name: str) -> int:
        return with_singular_values(1, *self.model.base_model.model.get_submodule(name).get_base_layer().weight.shape)


def _step(moment: Moment) -> int:
    return round(moment.done * moment.steps)


def _finished(learner: Masked) -> Triplets:
    """The triplets that are kept."""
    kept, factors, scale = learner.settle(), {}, 0.0
    for name, layer in learner.layers().items():
        a, e, b = (each["default"].detach() for each in (layer.lora_A, layer.lora_E, layer.lora_B))
        factors[name] = {"a": a[kept[name]], "e": e[kept[name], 0], "b": b[:, kept[name]]}
        scale = layer.scaling["default"] / (float(layer.ranknum["default"].detach()) + 1e-5)  # as peft has it
    return Triplets(factors, scale)
