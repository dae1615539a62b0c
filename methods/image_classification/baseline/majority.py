"""Control that knows nothing: every image gets the shares of the classes in the training labels."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from bench.contract import Card, Method
from suites.image_classification.task import ClassificationTask


class Constant(nn.Module):
    """The same logits (classes,) for every image."""

    logits: Tensor

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.register_buffer("logits", logits)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.logits.expand(len(inputs), -1)


@dataclass(frozen=True)
class Majority(Method[ClassificationTask]):
    """The logarithms of the classes' shares in the training labels, whatever the image: what guessing gets."""

    card = Card(
        slug="majority",
        title="Most frequent class",
        paper="Control: the labels alone",
        control=True,
        trivial=True,
    )

    def build(self, task: ClassificationTask) -> nn.Module:
        counts = np.bincount(task.labels, minlength=task.classes) + 1
        return Constant(torch.from_numpy(np.log(counts / counts.sum())).float().to(task.device))
