"""Learning to recognise signals: the batch, and the learner that methods derive theirs from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from suites._training.learner import Learner


@dataclass(frozen=True)
class SignalBatch:
    """signals: (n, 2, samples) float32. labels: (n,) int64."""

    signals: Tensor
    labels: Tensor

    @classmethod
    def of(cls, signals: Tensor, labels: Tensor) -> "SignalBatch":
        """Of its arrays."""
        return cls(signals, labels)

    @property
    def size(self) -> float:
        """Sample passes."""
        return float(len(self.labels))

    def parts(self, rows: int | None) -> Iterator[tuple["SignalBatch", float]]:
        rows = rows or len(self.labels)
        for start in range(0, len(self.labels), rows):
            part = SignalBatch(self.signals[start : start + rows], self.labels[start : start + rows])
            yield part, part.size / self.size


class SignalLearner(Learner[SignalBatch]):
    """A model that learns labels by cross entropy, with AdamW; weight decay on all that are matrices or kernels.

    A method that trains otherwise derives from it and says its `loss`. What it is judged by while it learns is the
    plain cross entropy, whatever it learns by.
    """

    def __init__(self, model: nn.Module, weight_decay: float = 0.02) -> None:
        super().__init__(model)
        self.weight_decay = weight_decay

    def optimizer(self, weights: Sequence[Tensor]) -> torch.optim.Optimizer:
        groups = [
            {"params": [each for each in weights if each.ndim > 1], "weight_decay": self.weight_decay},
            {"params": [each for each in weights if each.ndim <= 1], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW([group for group in groups if group["params"]], lr=0.0)

    def loss(self, batch: SignalBatch) -> Tensor:
        return cross_entropy(self.model(batch.signals), batch.labels)

    def validation(self, batch: SignalBatch) -> Tensor:
        return cross_entropy(self.model(batch.signals), batch.labels)
