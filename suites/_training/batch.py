"""What is learned from at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, Self

from torch import Tensor


class Batch(Protocol):
    """Examples side by side, whatever they are."""

    @property
    def size(self) -> float:
        """How much there is to learn from, in what the training is counted in: tokens, images."""

    def parts(self, rows: int | None) -> Iterator[tuple[Self, float]]:
        """Its examples, at most `rows` at a time (None: all of them), each part with its share of the batch's loss."""


@dataclass(frozen=True)
class Whole:
    """A tensor that goes through a model as it is; its size is its elements."""

    data: Tensor

    @property
    def size(self) -> float:
        return self.data.numel()

    def parts(self, rows: int | None) -> Iterator[tuple["Whole", float]]:
        yield self, 1.0
