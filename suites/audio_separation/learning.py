"""Learning to separate: the batch, and the learner that methods derive theirs from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from suites._training.learner import Learner
from suites.audio_separation.scores import best_of_both


@dataclass(frozen=True)
class MixBatch:
    """sources: (n, 2, samples) float32, as loud as they are in the mix, which is their sum."""

    sources: Tensor

    @classmethod
    def of(cls, sources: Tensor) -> "MixBatch":
        """Of its array."""
        return cls(sources)

    @property
    def size(self) -> float:
        """Sample passes."""
        return float(len(self.sources))

    @property
    def mixes(self) -> Tensor:
        """(n, samples): what a model is given."""
        return self.sources.sum(1)

    def parts(self, rows: int | None) -> Iterator[tuple["MixBatch", float]]:
        rows = rows or len(self.sources)
        for start in range(0, len(self.sources), rows):
            part = MixBatch(self.sources[start : start + rows])
            yield part, part.size / self.size


class SeparationLearner(Learner[MixBatch]):
    """A model that learns by the SI-SDR of the better assignment, AdamW with weight decay on all that are matrices or
    kernels."""

    def __init__(self, model: torch.nn.Module, weight_decay: float = 0.0) -> None:
        super().__init__(model)
        self.weight_decay = weight_decay

    def optimizer(self, weights: Sequence[Tensor]) -> torch.optim.Optimizer:
        groups = [
            {"params": [each for each in weights if each.ndim > 1], "weight_decay": self.weight_decay},
            {"params": [each for each in weights if each.ndim <= 1], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW([group for group in groups if group["params"]], lr=0.0)

    def loss(self, batch: MixBatch) -> Tensor:
        """In dB, less is better."""
        return -best_of_both(self.model(batch.mixes), batch.sources).mean()
