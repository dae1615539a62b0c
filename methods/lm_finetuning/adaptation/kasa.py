"""KaSA: Knowledge-Aware Singular-Value Adaptation (Wang et al., 2024), https://arxiv.org/abs/2412.06071."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from bench.contract import Built, Card, Claim, Method
from methods.lm_finetuning._finetuning import ADAPTER_RATES, rates_for
from methods.lm_finetuning.adaptation._peft import tune
from methods.lm_finetuning.adaptation._rank import fitting, unmet, with_singular_values
from suites._language.adapters import adapted
from suites.lm_finetuning.adapt import AdaptationTask
from suites.lm_finetuning.learning import AnswerLearner


@dataclass(frozen=True)
class KaSA(Method[AdaptationTask]):
    """The weight loses its smallest singular components, held to be noise; the update B diag(s) A has singular values
    of its own that train.

    B starts at zero and s at N(0, 1). The loss gets, on average over the layers, beta |s|^2 + gamma (|B'B - I| +
    |AA' - I|), which keeps s small and the factors near singular vectors.

    truncate: "inputs": a weight keeps as many components as it has inputs less the rank, so that a layer with that many
    fewer outputs loses none (grouped keys and values, the second layer of the MLP); "every-layer": each loses as many
    as the update has rank; "none": LoRA in the form of a decomposition. rank: the largest, cut to what the limits
    leave. alpha_over_rank: the update's scale (the paper's 16 / 8). beta, gamma: the paper's for GLUE.
    """

    card = Card(
        slug="kasa",
        title="KaSA",
        problems=("adapt",),
        paper="Wang et al., 2024. KaSA: Knowledge-Aware Singular-Value Adaptation of Large Language Models",
        url="https://arxiv.org/abs/2412.06071",
        stochastic=True,
        claims=(
            Claim(
                text="Better answers than LoRA with about as many parameters",
                source="abstract: consistently better than 14 other parameter-efficient methods, LoRA among them",
                metric="accuracy",
                versus="lora:default",
                variant="default",
                paper_value="RoBERTa-base, rank 8: CoLA 65.8, MRPC 90.7, SST-2 95.2",
            ),
            Claim(
                text="Better than PiSSA, which starts at the principal components",
                source="abstract and introduction: PiSSA is among the 14 methods that it is better than",
                metric="accuracy",
                versus="pissa",
                variant="default",
            ),
            Claim(
                text="Better than AdaLoRA, which allots ranks by importance",
                source="abstract: AdaLoRA is among the 14 methods that it is better than",
                metric="accuracy",
                versus="adalora",
                variant="default",
            ),
            Claim(
                text="Better than full fine-tuning",
                source="abstract: consistently better than full fine-tuning on 16 benchmarks",
                metric="accuracy",
                versus="full-fine-tuning",
                variant="default",
            ),
            Claim(
                text="Truncating the smallest singular components helps",
                source="section 3 and the ablation of the components: they carry noise and long-tail knowledge",
                metric="accuracy",
                versus="kasa:no-truncation",
                variant="default",
            ),
        ),
        differences=(
            (
                "Layers, truncation and penalties are peft's; the penalties are averaged over layers, as in the "
                "authors' code."
            ),
            (
                "peft penalises |AA' - I| of size rank, the code |A'A - I| of size inputs: the squares differ by a "
                "constant."
            ),
            (
                "Components that stay are counted by the inputs, as in the authors' code, which spares layers with "
                "fewer outputs; `every-layer` is peft's way."
            ),
            "It is on all linear layers of the blocks (the paper: queries and values for GLUE).",
            "B, s and A are shipped: who has the base truncates it by the same decomposition, rounded to 16 bits.",
        ),
    )
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "default": {},
        "every-layer": {"truncate": "every-layer"},
        "no-truncation": {"truncate": "none"},
    }
    at_point = {"params-0.1pct": {"rate": 1e-2}}  # noqa: RUF012

    truncate: Literal["inputs", "every-layer", "none"] = "inputs"
    rank: int = 8
    alpha_over_rank: float = 2.0
    beta: float = 1e-4
    gamma: float = 1e-3
    rate: float = 3e-3
    rates: tuple[float, ...] = ADAPTER_RATES

    def supports(self, task: AdaptationTask) -> str | None:
        return unmet(task, self.rank, with_singular_values)

    def build(self, task: AdaptationTask) -> Built:
        fitted = fitting(task, self.rank, with_singular_values)
        assert fitted is not None
        rank, targets = fitted
        begin = partial(self.begin, targets=targets, seed=task.seed)
        return tune(task, begin, rank, rates_for(task, self), NearSingular)

    def begin(self, base: Any, targets: list[str], seed: int, rank: int) -> Any:
        """The adapted model before its first step, by peft."""
        from peft import KasaConfig, LoraConfig

        config = LoraConfig(
            r=rank,
            lora_alpha=round(self.alpha_over_rank * rank),
            target_modules=targets,
            kasa_config=KasaConfig(beta=self.beta, gamma=self.gamma),
        )
        weights = {name: base.get_submodule(name).weight.detach().clone() for name in targets}
        model = adapted(base, config, seed)
        for name, weight in weights.items():
            # peft has taken `rank` components from each layer
            if (kept := self.kept(*weight.shape, rank)) != min(weight.shape) - rank:  # type: ignore[call-arg]
                layer = model.base_model.model.get_submodule(name).get_base_layer()
                layer.weight.data.copy_(leading(weight, kept))
        return model

    def kept(self, outputs: int, inputs: int, rank: int) -> int:
        """How many singular components of a weight are left."""
        every = min(outputs, inputs)
        return {"inputs": min(every, inputs - rank), "every-layer": every - rank, "none": every}[self.truncate]


def leading(weight: Tensor, kept: int) -> Tensor:
    """The sum of a matrix's largest singular components; the matrix itself where all are kept."""
    if kept >= min(weight.shape):
        return weight
    u, s, v = torch.linalg.svd(weight.float(), full_matrices=False)
    return (u[:, :kept] * s[:kept]) @ v[:kept]


class NearSingular(AnswerLearner):
    """With the penalties on s and on the factors."""

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self._layers = sum(hasattr(module, "lora_diag") for module in model.modules())

    def penalty(self) -> Tensor:
        total: Tensor = self.model.base_model._get_kasa_loss()
        return total / self._layers
