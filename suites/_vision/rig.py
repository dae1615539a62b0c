"""A training of an image classifier that can be gone on with."""

from typing import Any

import torch

from suites._training.loop import validation_loss
from suites._training.rig import Rig
from suites._training.trainer import Trainer
from suites._vision.learning import ImageBatch


class ImageRig(Rig[ImageBatch]):
    """weighed_on: the batch that memory is weighed on, the same for all."""

    def __init__(self, trainer: Trainer[ImageBatch], device: str, weighed_on: ImageBatch) -> None:
        super().__init__(trainer, device, weighed_on, ImageBatch.of)

    def validation(self, images: Any, labels: Any) -> float:
        """Loss of what trains over these images, as it would be shipped."""
        arrays = (torch.as_tensor(each, device=self.device) for each in (images, labels))
        return validation_loss(self.candidate.learner, [ImageBatch.of(*arrays)])
