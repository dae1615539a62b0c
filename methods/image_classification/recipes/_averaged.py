"""A learner that trains on distorted images and ships the running average of its weights."""

import torch
from timm.utils import ModelEmaV3
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from suites._training.learner import Moment
from suites._vision.learning import ImageBatch, ImageLearner


class AveragedLearner(ImageLearner):
    """augment: of one uint8 image, drawn anew for each. reach: the part of the training that the average goes back,
    with 0 there is none. model: stands on its device already, as its average does from the start."""

    def __init__(self, model: nn.Module, weight_decay: float, smoothing: float, augment: nn.Module, reach: float):
        super().__init__(model, weight_decay, smoothing)
        self.augment, self.reach = augment, reach
        self.average = ModelEmaV3(model) if reach else None
        self.references = [self.average.module] if self.average else []

    def loss(self, batch: ImageBatch) -> Tensor:
        distorted = torch.stack([self.augment(image) for image in batch.images])
        return super().loss(ImageBatch(distorted, batch.labels))

    def after_update(self, moment: Moment) -> None:
        if self.average is not None:
            self.average.decay = decay(self.reach, moment.steps)
            self.average.update(self.model)

    def validation(self, batch: ImageBatch) -> Tensor:
        return cross_entropy(self.shipped(batch.inputs), batch.labels)

    @property
    def shipped(self) -> nn.Module:
        module: nn.Module = self.model if self.average is None else self.average.module
        return module


def decay(reach: float, steps: int) -> float:
    """Of an average that goes back that part of so many steps, one step at the least."""
    return 1 - 1 / max(1.0, reach * steps)
