"""Control that knows nothing of an image: the dense model's mean answer."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.contract import Card, Method
from suites.vision_compression.task import CompressionTask


class Constant(nn.Module):
    """The same logits (classes,) for every image."""

    logits: Tensor

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.register_buffer("logits", logits)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.logits.expand(len(inputs), -1)


@dataclass(frozen=True)
class MeanAnswer(Method[CompressionTask]):
    """The logarithm of the mean probabilities that the dense model gives calibration images, whatever the image: what
    guessing gets. images: at most."""

    card = Card(
        slug="mean-answer",
        title="Mean answer",
        paper="Control: the dense model's mean answer",
        control=True,
        trivial=True,
    )

    images: int = 512

    @torch.no_grad()
    def build(self, task: CompressionTask) -> nn.Module:
        shares = torch.cat([task.model(part).softmax(-1) for part in task.calibration(self.images).split(64)])
        return Constant(shares.mean(0).log())
