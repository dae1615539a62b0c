"""Learning clicks: the batch, and the learner that methods derive theirs from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from suites._training.learner import Learner

DECAY = 1.0
"""Of all that is a matrix, decoupled."""


@dataclass(frozen=True)
class RowBatch:
    """ids: (n, slots) int64. clicks: (n,) float32."""

    ids: Tensor
    clicks: Tensor

    @property
    def size(self) -> float:
        """Sample passes."""
        return float(len(self.clicks))

    def parts(self, rows: int | None) -> Iterator[tuple["RowBatch", float]]:
        rows = rows or len(self.clicks)
        for start in range(0, len(self.clicks), rows):
            part = RowBatch(self.ids[start : start + rows], self.clicks[start : start + rows])
            yield part, part.size / self.size


class RowLearner(Learner[RowBatch]):
    """A model of ids that learns clicks by their log loss, AdamW with weight decay on all that are matrices."""

    def __init__(self, model: torch.nn.Module, weight_decay: float = DECAY) -> None:
        super().__init__(model)
        self.weight_decay = weight_decay

    def optimizer(self, weights: Sequence[Tensor]) -> torch.optim.Optimizer:
        groups = [
            {"params": [each for each in weights if each.ndim > 1], "weight_decay": self.weight_decay},
            {"params": [each for each in weights if each.ndim <= 1], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW([group for group in groups if group["params"]], lr=0.0)

    def loss(self, batch: RowBatch) -> Tensor:
        return binary_cross_entropy_with_logits(self.model(batch.ids), batch.clicks)
