"""What a method sees that trains a separator: metered mixes, and validation mixes that are free."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import torch
from numpy.typing import NDArray

from bench.contract import Task
from suites.audio_separation.learning import MixBatch

METER = "sample_passes"
"""One mix, shown once; a mix that is shown again counts again."""


@dataclass(kw_only=True)
class SeparationTask(Task):
    """Tell two speakers apart who are on one microphone. A candidate is a module that takes mixes (n, samples), float32
    in -1..1, `rate` samples a second, and gives two signals for each, (n, 2, samples), in whichever order and however
    loud. `task.weigh(model)` tells its "parameters" and "flops", trained or not.

    most_passes: to train on at this scale, whatever the operating point allows. batch: mixes of a step.
    """

    rate: int
    most_passes: int
    batch: int

    @property
    def passes(self) -> int:
        """Sample passes that a method may still take."""
        left = self.left(METER)
        return self.most_passes if left is None else min(self.most_passes, left)

    def mixes(self, numbers: Sequence[int]) -> MixBatch:
        """Training mixes by number, each a sample pass."""
        return self._batch(self.supplies["training"].take([int(number) for number in numbers]))

    def training(self, passes: int | None = None) -> "Passes":
        """Batches for all the passes that are left (or so many): epoch after epoch, each in an order of its own drawn
        from the seed. A mix is made, and counted, when its batch is asked for."""
        wanted = self.passes if passes is None else passes
        count, rng = len(self.supplies["training"]), np.random.default_rng([self.seed, 0x0AD3])
        batch = min(self.batch, count)
        order = [rng.permutation(count) for _ in range(-(-wanted // count))]
        numbers = np.concatenate(order)[: wanted // batch * batch] if order else np.zeros(0, dtype=np.int64)
        return Passes(self, numbers.reshape(-1, batch))

    def validation(self, batch: int | None = None) -> list[MixBatch]:
        """The validation mixes, the same for all: of the training voices, with other texts; not metered, as nothing may
        be trained on them."""
        supply, batch = self.supplies["validation"], batch or self.batch
        starts = range(0, len(supply), batch)
        return [self._batch(supply.take(list(range(at, min(at + batch, len(supply)))))) for at in starts]

    def _batch(self, sources: NDArray[np.float32]) -> MixBatch:
        return MixBatch(torch.from_numpy(np.array(sources)).to(self.device))


@dataclass(frozen=True)
class Passes(Sequence[MixBatch]):
    """Batches of training mixes, by their numbers (steps, batch)."""

    task: SeparationTask
    numbers: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, index: int) -> MixBatch: ...
    @overload
    def __getitem__(self, index: slice) -> "Passes": ...
    def __getitem__(self, index: int | slice) -> "MixBatch | Passes":
        if isinstance(index, slice):
            return Passes(self.task, self.numbers[index])
        return self.task.mixes(self.numbers[index].tolist())

    def __iter__(self) -> Iterator[MixBatch]:
        return (self[index] for index in range(len(self)))
