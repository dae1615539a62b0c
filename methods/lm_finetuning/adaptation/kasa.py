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
                paper_value="RoBERTa-base, rank 8: CoLA 65.8, MRPC 90.7, SST-2 95.2",
            ),
            Claim(
                text="Better than starting at the principal components",
                source="abstract and introduction: PiSSA is among the 14 methods that it is better than",
                metric="accuracy",
                versus="pissa",
            ),
            Claim(
                text="Better than ranks that are allotted by importance",
                source="abstract: AdaLoRA is among the 14 methods that it is better than",
                metric="accuracy",
                versus="adalora",
            ),
            Claim(
                text="Better than full fine-tuning",
                source="abstract: consistently better than full fine-tuning on 16 benchmarks",
                metric="accuracy",
                versus="full-fine-tuning",
            ),
            Claim(
                text="Leaving out the smallest components helps",
                source="section 3 and the ablation of the components: they carry noise and long-tail knowledge",
                metric="accuracy",
                versus="kasa:no-truncation",
            ),
        ),
        notes="Layers, truncation and penalties are peft's; we divide the penalties by the number of layers as the "
        "authors' code does. peft measures |AA' - I| of size rank, the code |A'A - I| of size inputs: the squares of "
        "the two differ by a constant. peft takes components from every layer; the authors' code counts those that it "
        "keeps by the inputs, which spares layers with fewer outputs: so it is here, and peft's way is a variant. On "
        "all linear layers of the blocks (the paper: queries and values for GLUE). Shipped are B, s and A: who has "
        "the base truncates it by the same decomposition. The truncated weight is rounded to the base's 16 bits. "
        "Measured at the embedded scale, before any training: the truncation raises the validation loss from 2.7 to "
        "3.4; of every layer to 6.6. After the training on equal tokens right answers are not told apart from those of "
        "LoRA, of full fine-tuning and of KaSA without truncation, and more is forgotten than by LoRA; with 1 % of the "
        "parameters there are fewer than LoRA's; with every layer truncated there are far fewer.",
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
