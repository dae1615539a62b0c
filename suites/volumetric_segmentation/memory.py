"""The largest volume that can be trained on within so many bytes."""

from suites._training.memory import step_memory
from suites._training.trainer import Trainer
from suites.volumetric_segmentation.learning import VolumeBatch


def largest_side(trainer: Trainer[VolumeBatch], batch: VolumeBatch, total: float, allowed: float, step: int) -> int:
    """Of the largest cube whose training step takes at most `allowed` bytes: a multiple of `step`, 0 if none does.

    total: bytes of a step over `batch`, cubes. All that grows with a volume grows as its voxels do, so that a second
    step, over cubes of half the side, tells what any other takes.
    """
    side = batch.labels.shape[-1]
    half = slice(side // 2)
    small = VolumeBatch(batch.images[..., half, half, half], batch.labels[..., half, half, half])
    of_small = step_memory(trainer, small)["total"]
    a_voxel = (total - of_small) / (side**3 - (side // 2) ** 3)
    if a_voxel <= 0:
        return 0
    voxels = (allowed - total) / a_voxel + side**3
    found = 0
    while (found + step) ** 3 <= voxels:
        found += step
    return found
