"""Learning to classify images: the batch, and the learner that methods derive theirs from."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from suites._training.learner import Learner


@dataclass(frozen=True)
class ImageBatch:
    """images: (n, 3, size, size) uint8. labels: (n,) int64."""

    images: Tensor
    labels: Tensor

    @classmethod
    def of(cls, images: Tensor, labels: Tensor) -> "ImageBatch":
        """Of its arrays."""
        return cls(images, labels)

    @property
    def size(self) -> float:
        """Sample passes."""
        return float(len(self.labels))

    @property
    def inputs(self) -> Tensor:
        """What a model is given."""
        return as_inputs(self.images)

    def parts(self, rows: int | None) -> Iterator[tuple["ImageBatch", float]]:
        rows = rows or len(self.labels)
        for start in range(0, len(self.labels), rows):
            part = ImageBatch(self.images[start : start + rows], self.labels[start : start + rows])
            yield part, part.size / self.size


def as_inputs(images: Tensor) -> Tensor:
    """float32 in -1..1, of uint8: the same for every model."""
    return images.float() / 127.5 - 1


class ImageLearner(Learner[ImageBatch]):
    """A model that learns labels by cross entropy, AdamW with weight decay on all that are matrices or kernels.

    A method that trains otherwise derives from it: `loss` mixes images or adds a term, `before_step` moves a schedule,
    `after_update` an average of the weights.
    """

    def __init__(self, model: torch.nn.Module, weight_decay: float = 0.05, smoothing: float = 0.0) -> None:
        super().__init__(model)
        self.weight_decay, self.smoothing = weight_decay, smoothing

    def optimizer(self, weights: "list[Tensor]") -> torch.optim.Optimizer:  # type: ignore[override]
        groups = [
            {"params": [each for each in weights if each.ndim > 1], "weight_decay": self.weight_decay},
            {"params": [each for each in weights if each.ndim <= 1], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW([group for group in groups if group["params"]], lr=0.0)

    def loss(self, batch: ImageBatch) -> Tensor:
        return cross_entropy(self.model(batch.inputs), batch.labels, label_smoothing=self.smoothing)

    def validation(self, batch: ImageBatch) -> Tensor:
        """Of the model that would be shipped."""
        return cross_entropy(self.model(batch.inputs), batch.labels)
