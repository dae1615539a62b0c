"""Stochastic Layer-Wise Shuffle: A Good Practice to Improve Vision Mamba Training (Huang et al., 2024),
https://arxiv.org/abs/2408.17081."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from bench.contract import Built, Card, Claim, Method
from methods.image_classification.state_space._vim import rising, too_large, train_widest
from suites.image_classification.task import ClassificationTask


@dataclass(frozen=True)
class ShuffleMamba(Method[ClassificationTask]):
    """Vision Mamba, of which a layer now and then gets its tokens in a random order while it trains; what it gives is
    put back in order. The deeper the layer the more often; the first never. In use it is a plain Vision Mamba.

    shuffle: how often the last layer's tokens are shuffled. width, rate, weight_decay: as of Vision Mamba.
    """

    card = Card(
        slug="shufflemamba",
        title="ShuffleMamba",
        paper="Huang et al., 2024. Stochastic Layer-Wise Shuffle: A Good Practice to Improve Vision Mamba Training",
        url="https://arxiv.org/abs/2408.17081",
        stochastic=True,
        speed_realised=False,
        claims=(
            Claim(
                text="Shuffling makes Vision Mamba more accurate, as it over-fits less",
                source="abstract",
                metric="top1",
                versus="vision-mamba:default",
                points=("macs-12m",),
                paper_value="82.6 % at base size, 83.1 against 83.0 % with registers",
            ),
            Claim(
                text="It is more accurate than a vision transformer of like size",
                source="abstract",
                metric="top1",
                versus="vit",
                points=("macs-12m",),
                paper_value="0.8 points at base size, 1.0 at large",
            ),
            Claim(
                text="It is omitted in inference and costs nothing there",
                source="abstract",
                metric="flops",
                versus="vision-mamba:default",
                points=("macs-12m",),
                relation="same",
            ),
        ),
        differences=(
            (
                "The shuffle alone, without the drop-path, the average of weights and the augmentation of the "
                "paper's training."
            ),
            "Steps start between 0.001 and 0.1, which the public code sets back by accident.",
            (
                "The scan is plain PyTorch, with two states a channel; narrower than the limit where there are many "
                "passes."
            ),
            "No class token: the mean of all tokens is classified.",
        ),
        notes="The time of the scan says nothing of the paper's, which has a kernel of its own.",
    )
    at_point: ClassVar[Mapping[str, Mapping[str, Any]]] = {"macs-6m": {"width": 32}, "macs-12m": {"width": 32}}

    shuffle: float = 0.5
    width: int = 48
    rate: float = 2e-3
    weight_decay: float = 0.1

    def supports(self, task: ClassificationTask) -> str | None:
        return too_large(task)

    def build(self, task: ClassificationTask) -> Built:
        return train_widest(task, rising(self.shuffle), rising(0), self.width, self.rate, self.weight_decay)
