"""What a method sees that trains a recogniser of modulations: metered signals, and validation signals that are free."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bench.contract import Task
from suites.signal_recognition.learning import SignalBatch
from suites.signal_recognition.teacher import as_model

BATCH = 64
METER = "sample_passes"
"""One signal, shown once; a signal that is shown again counts again."""


@dataclass(kw_only=True)
class SignalTask(Task):
    """Train a recogniser. A candidate is a module that takes float32 signals (n, 2, 128), in-phase and quadrature at
    unit mean power, and gives logits (n, classes), within `limits`: of "parameters", numbers that it stores, or of
    "flops" of a signal, two for each multiply-add, by what is executed; `weigh` tells both of any module, trained or
    not.

    most_passes: to train on at this scale, whatever the operating point allows. level: loss over the validation signals
    whose reaching is told.
    """

    classes: int
    most_passes: int
    level: float = 0.0

    @property
    def passes(self) -> int:
        """Sample passes that a method may still take."""
        left = self.left(METER)
        return self.most_passes if left is None else min(self.most_passes, left)

    @cached_property
    def teacher(self) -> nn.Module:
        """A ClST that has been trained on the training signals for longer than any method may; in eval mode, without
        gradients. It may be larger than the limits. Never change it: copy it."""
        return as_model(self.supplies["teacher"].take(None)).to(self.device)

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """(n,) of all training signals, which are asked for by their numbers; not metered."""
        return np.asarray(self.supplies["labels"].take(None)["labels"])

    @cached_property
    def snr(self) -> NDArray[np.int64]:
        """(n,) of all training signals, dB; not metered. Nobody tells it in the exam."""
        return np.asarray(self.supplies["labels"].take(None)["snr"])

    def signals(self, numbers: Sequence[int]) -> SignalBatch:
        """Training signals by number, each a sample pass."""
        return self._batch(self.supplies["training"].take([int(number) for number in numbers]))

    def training(self, batch: int = BATCH, passes: int | None = None) -> "Passes":
        """Batches for all the passes that are left (or so many): epoch after epoch, each in an order of its own drawn
        from the seed. A signal is fetched, and counted, when its batch is asked for."""
        wanted = self.passes if passes is None else passes
        count, rng = len(self.supplies["training"]), np.random.default_rng([self.seed, 0x51611])
        batch = min(batch, count)
        order = [rng.permutation(count) for _ in range(-(-wanted // count))]
        numbers = np.concatenate(order)[: wanted // batch * batch] if order else np.zeros(0, dtype=np.int64)
        return Passes(self, numbers.reshape(-1, batch))

    def validation(self, batch: int = BATCH) -> list[SignalBatch]:
        """The validation signals, the same for all; not metered, as nothing may be trained on them."""
        held = self._held
        return [
            SignalBatch(held.signals[start : start + batch], held.labels[start : start + batch])
            for start in range(0, len(held.labels), batch)
        ]

    @cached_property
    def _held(self) -> SignalBatch:
        supply = self.supplies["validation"]
        return self._batch(supply.take(list(range(len(supply)))))

    def _batch(self, plain: tuple[NDArray[np.float32], NDArray[np.int64]]) -> SignalBatch:
        signals, labels = (torch.from_numpy(np.array(each)).to(self.device) for each in plain)
        return SignalBatch(signals, labels)


@dataclass(frozen=True)
class Passes(Sequence[SignalBatch]):
    """Batches of training signals, by their numbers (steps, batch)."""

    task: SignalTask
    numbers: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, index: int) -> SignalBatch: ...
    @overload
    def __getitem__(self, index: slice) -> "Passes": ...
    def __getitem__(self, index: int | slice) -> "SignalBatch | Passes":
        if isinstance(index, slice):
            return Passes(self.task, self.numbers[index])
        return self.task.signals(self.numbers[index].tolist())

    def __iter__(self) -> Iterator[SignalBatch]:
        return (self[index] for index in range(len(self)))
