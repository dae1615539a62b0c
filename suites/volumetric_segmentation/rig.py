"""A training on volumes that can be gone on with."""

from collections.abc import Mapping
from typing import Any

import torch

from suites._training.loop import validation_loss
from suites._training.rig import Rig
from suites._training.trainer import Trainer
from suites.volumetric_segmentation.learning import VolumeBatch
from suites.volumetric_segmentation.memory import largest_side

SIDE_STEP = 8
"""Of the largest cube, in voxels."""


class VolumeRig(Rig[VolumeBatch]):
    """weighed_on: the volume that memory is weighed on, the same for all. memory_bytes: what the largest volume must
    fit in."""

    def __init__(
        self, trainer: Trainer[VolumeBatch], device: str, weighed_on: VolumeBatch, memory_bytes: float
    ) -> None:
        super().__init__(trainer, device, weighed_on, VolumeBatch.of)
        self._memory_bytes = memory_bytes

    def figures(self) -> Mapping[str, float]:
        """Those of every training, and `largest_volume`: voxels of the largest cube that a step fits memory_bytes
        with."""
        found = dict(super().figures())
        total = found["training_memory"]
        side = largest_side(self.candidate, self._weighed_on, total, self._memory_bytes, SIDE_STEP)
        return found | {"largest_volume": float(side**3)}

    def validation(self, images: Any, labels: Any) -> float:
        """Loss of what trains over these volumes, as it would be shipped."""
        arrays = (torch.as_tensor(each, device=self.device) for each in (images, labels))
        return validation_loss(self.candidate.learner, [VolumeBatch.of(*arrays)])
