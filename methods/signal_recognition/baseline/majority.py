"""Control that knows nothing: every signal gets the shares of the classes in the training labels."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from bench.contract import Card, Method
from suites.signal_recognition.task import SignalTask


class Constant(nn.Module):
    """The same logits (classes,) for every signal."""

    logits: Tensor

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.register_buffer("logits", logits)

    def forward(self, signals: Tensor) -> Tensor:
        return self.logits.expand(len(signals), -1)


@dataclass(frozen=True)
class Majority(Method[SignalTask]):
    """The logarithms of the classes' shares in the training labels, whatever the signal: what guessing gets."""

    card = Card(
        slug="majority",
        title="Most frequent class",
        paper="Control: the labels alone",
        control=True,
        trivial=True,
        notes="All modulations are about equally frequent, so it is uniform guessing too.",
    )

    def build(self, task: SignalTask) -> nn.Module:
        counts = np.bincount(task.labels, minlength=task.classes) + 1
        return Constant(torch.from_numpy(np.log(counts / counts.sum())).float().to(task.device))
