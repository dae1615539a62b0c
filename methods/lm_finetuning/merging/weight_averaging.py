"""Control: the average of the fine-tuned models (Wortsman et al., 2022), https://arxiv.org/abs/2203.05482."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from bench.contract import Card, Method
from methods.lm_finetuning.merging._adapters import folded, weighted_sum
from suites.lm_finetuning.lora import LoRA
from suites.lm_finetuning.merge import MergingTask
from suites.lm_finetuning.patches import AddedLoRA


@dataclass(frozen=True)
class WeightAveraging(Method[MergingTask]):
    """Averages the weights of the models that the LoRAs make.

    factors: average A and B each by itself, which keeps the rank, but mixes every row of A with columns of B that
    were not trained with it.
    """

    card = Card(
        slug="weight-averaging",
        title="Weight averaging",
        problems=("merge",),
        paper="Control: Wortsman et al., 2022. Model soups: averaging weights of multiple fine-tuned models",
        url="https://arxiv.org/abs/2203.05482",
        control=True,
        stochastic=True,
        notes="The soups of the paper are of models of one task; here each model knows another. The average of the "
        "models is shipped as one LoRA of all ranks. It is random only in what it is given.",
    )
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {"default": {}, "factors": {"factors": True}}

    factors: bool = False

    def build(self, task: MergingTask) -> AddedLoRA:
        loras = list(task.loras.values())
        return AddedLoRA(mean_factors(loras) if self.factors else weighted_sum(loras, 1 / len(loras)))


def mean_factors(loras: Sequence[LoRA]) -> LoRA:
    """Mean A and mean B. Raises RuntimeError if the ranks differ."""
    parts = [folded(lora) for lora in loras]
    return LoRA(
        {name: torch.stack([part.a[name] for part in parts]).mean(0) for name in parts[0].a},
        {name: torch.stack([part.b[name] for part in parts]).mean(0) for name in parts[0].b},
        1.0,
    )
