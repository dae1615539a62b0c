"""What a method sees that trains on labelled images: metered images, and validation images that are free."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import overload

import numpy as np
import torch
from numpy.typing import NDArray

from bench.contract import Task
from suites._vision.learning import ImageBatch

BATCH = 64
METER = "sample_passes"
"""One image, shown once; an image that is shown again counts again."""


@dataclass(kw_only=True)
class ImageTask(Task):
    """Images are uint8 (n, 3, size, size); models get them as float32 in -1..1 (`ImageBatch.inputs`) and give logits
    (n, classes).

    most_passes: to train on at this scale, whatever the operating point allows. level: loss over the validation images
    whose reaching is told.
    """

    classes: int
    size: int
    most_passes: int
    level: float = 0.0

    @property
    def passes(self) -> int:
        """Sample passes that a method may still take."""
        left = self.left(METER)
        return self.most_passes if left is None else min(self.most_passes, left)

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """(n,) of all training images, which are asked for by their numbers; not metered."""
        return np.asarray(self.supplies["labels"].take(None))

    def images(self, numbers: Sequence[int]) -> ImageBatch:
        """Training images by number, each a sample pass."""
        return self._batch(self.supplies["training"].take([int(number) for number in numbers]))

    def training(self, batch: int = BATCH, passes: int | None = None) -> "Passes":
        """Batches for all the passes that are left (or so many): epoch after epoch, each in an order of its own drawn
        from the seed. An image is fetched, and counted, when its batch is asked for."""
        wanted = self.passes if passes is None else passes
        count, rng = len(self.supplies["training"]), np.random.default_rng([self.seed, 0x0AD3])
        batch = min(batch, count)
        order = [rng.permutation(count) for _ in range(-(-wanted // count))]
        numbers = np.concatenate(order)[: wanted // batch * batch] if order else np.zeros(0, dtype=np.int64)
        return Passes(self, numbers.reshape(-1, batch))

    def validation(self, batch: int = BATCH) -> list[ImageBatch]:
        """The validation images, the same for all; not metered, as nothing may be trained on them."""
        held = self._held
        return [
            ImageBatch(held.images[start : start + batch], held.labels[start : start + batch])
            for start in range(0, len(held.labels), batch)
        ]

    @cached_property
    def _held(self) -> ImageBatch:
        supply = self.supplies["validation"]
        return self._batch(supply.take(list(range(len(supply)))))

    def _batch(self, plain: tuple[NDArray[np.uint8], NDArray[np.int64]]) -> ImageBatch:
        images, labels = (torch.from_numpy(np.array(each)).to(self.device) for each in plain)
        return ImageBatch(images, labels)


@dataclass(frozen=True)
class Passes(Sequence[ImageBatch]):
    """Batches of training images, by their numbers (steps, batch)."""

    task: ImageTask
    numbers: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, index: int) -> ImageBatch: ...
    @overload
    def __getitem__(self, index: slice) -> "Passes": ...
    def __getitem__(self, index: int | slice) -> "ImageBatch | Passes":
        if isinstance(index, slice):
            return Passes(self.task, self.numbers[index])
        return self.task.images(self.numbers[index])

    def __iter__(self) -> Iterator[ImageBatch]:
        return (self[index] for index in range(len(self)))
