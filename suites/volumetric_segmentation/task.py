"""What a method sees that trains on volumes: metered training volumes, and validation volumes that are free."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import overload

import numpy as np
import torch
from numpy.typing import NDArray

from bench.contract import Task
from suites.volumetric_segmentation.learning import VolumeBatch

METER = "sample_passes"
"""One volume, shown once; one that is shown again counts again."""


@dataclass(kw_only=True)
class SegmentationTask(Task):
    """Train a segmenter of volumes from nothing. Volumes are uint8 (n, 4, size, size, size); models get them as float32
    in -1..1 (`VolumeBatch.inputs`) and give logits (n, 4, size, size, size). A candidate is such a module.

    `limits` are on "training_memory_ratio", the peak of a training step over one volume, as a share of the plain
    U-Net's; `weigh(Built(model, rig=trainer))` tells it of any trainer, trained or not.

    size: voxels of a side. most_passes: to train on at this scale, whatever the operating point allows.
    """

    size: int
    most_passes: int

    @property
    def passes(self) -> int:
        """Sample passes that a method may still take."""
        left = self.left(METER)
        return self.most_passes if left is None else min(self.most_passes, left)

    def volumes(self, numbers: Sequence[int]) -> VolumeBatch:
        """Training volumes by number, each a sample pass."""
        return self._batch(self.supplies["training"].take([int(number) for number in numbers]))

    def training(self, passes: int | None = None) -> "Passes":
        """Volumes one by one, for all the passes that are left (or so many): epoch after epoch, each in an order of its
        own drawn from the seed. A volume is fetched, and counted, when it is asked for."""
        wanted = self.passes if passes is None else passes
        count, rng = len(self.supplies["training"]), np.random.default_rng([self.seed, 0x0AD3])
        order = [rng.permutation(count) for _ in range(-(-wanted // count))]
        return Passes(self, np.concatenate([*order, np.zeros(0, dtype=np.int64)])[:wanted].astype(np.int64))

    @cached_property
    def labels(self) -> NDArray[np.uint8]:
        """(n, size, size, size) of all training volumes; not metered."""
        return np.asarray(self.supplies["labels"].take(None))

    def validation(self) -> list[VolumeBatch]:
        """The validation volumes, one by one, the same for all; not metered, as nothing may be trained on them."""
        supply = self.supplies["validation"]
        return [self._batch(supply.take([number])) for number in range(len(supply))]

    def _batch(self, plain: tuple[NDArray[np.uint8], NDArray[np.uint8]]) -> VolumeBatch:
        images, labels = (torch.from_numpy(np.array(each)).to(self.device) for each in plain)
        return VolumeBatch(images, labels)


@dataclass(frozen=True)
class Passes(Sequence[VolumeBatch]):
    """Training volumes, by their numbers (steps,)."""

    task: SegmentationTask
    numbers: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, index: int) -> VolumeBatch: ...
    @overload
    def __getitem__(self, index: slice) -> "Passes": ...
    def __getitem__(self, index: int | slice) -> "VolumeBatch | Passes":
        if isinstance(index, slice):
            return Passes(self.task, self.numbers[index])
        return self.task.volumes([self.numbers[index]])

    def __iter__(self) -> Iterator[VolumeBatch]:
        return (self[index] for index in range(len(self)))
