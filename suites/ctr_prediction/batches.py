"""Batches of rows by their numbers, each fetched when it is asked for."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import torch
from numpy.typing import NDArray

from suites.ctr_prediction.learning import RowBatch

Fetch = Callable[[NDArray[np.int64]], RowBatch]


def batch_of(ids: NDArray[np.int32], clicks: NDArray[np.float32], device: str = "cpu") -> RowBatch:
    """ids: (n, slots). clicks: (n,)."""
    return RowBatch(torch.from_numpy(np.array(ids)).long().to(device), torch.from_numpy(np.array(clicks)).to(device))


def numbers_of(count: int, passes: int, batch: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """(steps, batch): numbers below `count`, epoch after epoch, each in an order of its own."""
    batch = min(batch, count)
    order = [rng.permutation(count) for _ in range(-(-passes // count))]
    numbers = np.concatenate(order)[: passes // batch * batch] if order else np.zeros(0, dtype=np.int64)
    return numbers.reshape(-1, batch)


@dataclass(frozen=True)
class Batches(Sequence[RowBatch]):
    """numbers: (steps, batch)."""

    fetch: Fetch
    numbers: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, index: int) -> RowBatch: ...
    @overload
    def __getitem__(self, index: slice) -> "Batches": ...
    def __getitem__(self, index: int | slice) -> "RowBatch | Batches":
        if isinstance(index, slice):
            return Batches(self.fetch, self.numbers[index])
        return self.fetch(self.numbers[index])

    def __iter__(self) -> Iterator[RowBatch]:
        return (self[index] for index in range(len(self)))
