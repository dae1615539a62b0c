"""What a method sees that compresses a click model."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from torch import nn

from bench.contract import Task
from bench.contract.supply import Drawn
from suites.ctr_prediction.batches import Batches, batch_of, numbers_of
from suites.ctr_prediction.fields import Field
from suites.ctr_prediction.learning import RowBatch
from suites.ctr_prediction.models import network

METER = "sample_passes"
"""One training row, shown once; a row that is shown again counts again."""
CALIBRATION = "calibration_rows"
AT_ONCE = 8_192
"""Rows that are fetched at a time where all are."""


@dataclass(kw_only=True)
class ClickTask(Task):
    """Make a trained click model smaller. A candidate is called as the base is: ids (n, slots) int64, logits (n,).
    `limits` are on "stored_ratio"; `weigh` tells it.

    most_passes: to train on at this scale, whatever the operating point allows. batch: rows of a step. rate: the
    largest learning rate of the base's own training. kind: deepfm or dcn. load_model, load_fields: called when they are
    first asked for.
    """

    most_passes: int
    batch: int
    rate: float
    kind: str
    load_model: Callable[[], nn.Module] = field(repr=False)
    load_fields: Callable[[], Sequence[Field]] = field(repr=False)

    @cached_property
    def model(self) -> nn.Module:
        """The base, float32, in eval mode: suites.ctr_prediction.models.DeepFM or DCN. Never change it: copy it."""
        return self.load_model()

    @cached_property
    def fields(self) -> Sequence[Field]:
        """In the order in which they stand in a row."""
        return self.load_fields()

    def untrained(self, width: int, hidden: Sequence[int]) -> nn.Module:
        """A network of the base's kind with random weights. width: of a vector. hidden: widths of the perceptron's
        layers."""
        return network(self.kind, self.fields, width, hidden)

    @property
    def passes(self) -> int:
        """Sample passes that a method may still take."""
        left = self.left(METER)
        return self.most_passes if left is None else min(self.most_passes, left)

    @property
    def rows(self) -> int:
        """Training rows."""
        return len(self.supplies["training"])

    def training(self, passes: int | None = None) -> Batches:
        """Batches for all the passes that are left (or so many): epoch after epoch, each in an order of its own drawn
        from the seed. A row is fetched, and counted, when its batch is asked for."""
        rng = np.random.default_rng([self.seed, 0x0AD3])
        wanted = self.passes if passes is None else passes
        return Batches(self._fetch, numbers_of(self.rows, wanted, self.batch, rng))

    def once(self) -> Iterator[RowBatch]:
        """Every training row once, in the order of time, as far as the passes reach."""
        numbers = np.arange(min(self.passes, self.rows))
        for start in range(0, len(numbers), AT_ONCE):
            yield self._fetch(numbers[start : start + AT_ONCE])

    def calibration(self, count: int) -> RowBatch:
        """The first `count` calibration rows, or as many as are left; each counts each time. They are drawn from the
        training rows at random."""
        supply, left = self.supplies["calibration"], self.left(CALIBRATION)
        there = len(supply) if left is None else min(left, len(supply))
        return self._rows_of(supply, np.arange(min(count, there)))

    def validation(self) -> RowBatch:
        """The validation rows; not metered, as nothing may be trained on them."""
        supply = self.supplies["validation"]
        return self._rows_of(supply, np.arange(len(supply)))

    def _fetch(self, numbers: NDArray[np.int64]) -> RowBatch:
        return self._rows_of(self.supplies["training"], numbers)

    def _rows_of(self, supply: Drawn, numbers: NDArray[np.int64]) -> RowBatch:
        ids, clicks = supply.take(numbers.tolist())
        return batch_of(np.asarray(ids), np.asarray(clicks), self.device)
