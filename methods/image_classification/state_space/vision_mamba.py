"""Control: Vision Mamba (Zhu et al., 2024), with other regularisation than a shuffle that grows with depth, or none."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from bench.contract import Built, Card, Method
from methods.image_classification.state_space._vim import LAYERS, rising, too_large, train_widest
from suites.image_classification.task import ClassificationTask


@dataclass(frozen=True)
class PlainVisionMamba(Method[ClassificationTask]):
    """Four layers of two selective scans each over tokens of 4 x 4 pixels, of which the mean is classified.

    drop_path: of the last layer, how often it is left out for an image; it rises from zero linearly. shuffle: how often
    every layer gets its tokens in a random order. width: of a token, the most; cut to what the limits leave. rate: the
    largest of the schedule.
    """

    card = Card(
        slug="vision-mamba",
        title="Vision Mamba",
        paper="Control: Zhu et al., 2024. Vision Mamba: Efficient Visual Representation Learning with Bidirectional "
        "State Space Model",
        url="https://arxiv.org/abs/2401.09417",
        control=True,
        stochastic=True,
        speed_realised=False,
        notes="The scan is plain PyTorch, so its time says nothing, with two states a channel; narrower than the "
        "limit where there are many passes, as it trains slowly. `drop-path` leaves layers out; `constant` shuffles "
        "each layer as often as ShuffleMamba does at the mean.",
    )
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "default": {},
        "drop-path": {"drop_path": 0.2},
        "constant": {"shuffle": 0.25},
    }
    at_point: ClassVar[Mapping[str, Mapping[str, Any]]] = {"macs-6m": {"width": 32}, "macs-12m": {"width": 32}}

    drop_path: float = 0.0
    shuffle: float = 0.0
    width: int = 48
    rate: float = 2e-3
    weight_decay: float = 0.1

    def supports(self, task: ClassificationTask) -> str | None:
        return too_large(task)

    def build(self, task: ClassificationTask) -> Built:
        shuffle = (self.shuffle,) * LAYERS
        return train_widest(task, shuffle, rising(self.drop_path), self.width, self.rate, self.weight_decay)
