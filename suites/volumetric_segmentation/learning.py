"""Learning to segment volumes: the batch, the loss, and the learner that methods derive theirs from."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from suites._training.learner import Learner
from suites.volumetric_segmentation.regions import REGIONS

SMOOTH = 1.0
"""Voxels that are added above and below in the Dice loss, so that a volume without a region has a gradient."""


@dataclass(frozen=True)
class VolumeBatch:
    """images: (n, 4, depth, height, width) uint8. labels: (n, depth, height, width) uint8."""

    images: Tensor
    labels: Tensor

    @classmethod
    def of(cls, images: Tensor, labels: Tensor) -> "VolumeBatch":
        """Of its arrays."""
        return cls(images, labels)

    @property
    def size(self) -> float:
        """Volumes."""
        return float(len(self.labels))

    @property
    def inputs(self) -> Tensor:
        """What a model is given."""
        return as_inputs(self.images)

    def parts(self, rows: int | None) -> Iterator[tuple["VolumeBatch", float]]:
        rows = rows or len(self.labels)
        for start in range(0, len(self.labels), rows):
            part = VolumeBatch(self.images[start : start + rows], self.labels[start : start + rows])
            yield part, part.size / self.size


def as_inputs(images: Tensor) -> Tensor:
    """float32 in -1..1, of uint8: the same for every model."""
    return images.float() / 127.5 - 1


def segmentation_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy plus the Dice loss of the regions, as is usual where the parts are small (Isensee et al., 2021).
    logits: (n, 4, ...). labels: (n, ...)."""
    return cross_entropy(logits, labels.long()) + dice_loss(logits.softmax(1), labels)


def dice_loss(probabilities: Tensor, labels: Tensor) -> Tensor:
    """1 less the mean over volumes and regions of 2 sum(p t) / (sum(p) + sum(t)) (Milletari et al., 2016)."""
    losses = []
    for region in REGIONS.values():
        truth = torch.stack([labels == label for label in region]).any(0).flatten(1).to(probabilities.dtype)
        found = probabilities[:, list(region)].sum(1).flatten(1)
        both = (found * truth).sum(1)
        losses.append(1 - (2 * both + SMOOTH) / (found.sum(1) + truth.sum(1) + SMOOTH))
    return torch.stack(losses).mean()


class VolumeLearner(Learner[VolumeBatch]):
    """A model that learns labels, by AdamW without weight decay unless said."""

    def __init__(self, model: torch.nn.Module, weight_decay: float = 0.0) -> None:
        super().__init__(model)
        self.weight_decay = weight_decay

    def optimizer(self, weights: "list[Tensor]") -> torch.optim.Optimizer:  # type: ignore[override]
        return torch.optim.AdamW(weights, lr=0.0, weight_decay=self.weight_decay)

    def loss(self, batch: VolumeBatch) -> Tensor:
        return segmentation_loss(self.model(batch.inputs), batch.labels)

    def validation(self, batch: VolumeBatch) -> Tensor:
        """Of the model that would be shipped, whatever it was trained by."""
        return segmentation_loss(self.model(batch.inputs), batch.labels)
