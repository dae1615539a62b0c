"""A score keeps its samples: every statistic is computed from them when a record is read."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

BLOCKS = 20
"""Parts of an exam that a statistic of the whole set is taken without, one at a time."""

Aggregate = Literal["mean", "exp_mean", "max"]


@dataclass(frozen=True)
class Score:
    """One measured quantity with its samples (items, documents, systems...), in the order of the data.

    The value is sum(samples) / sum(weights) for "mean", its exponential for "exp_mean" (perplexity: samples are
    negative log-likelihoods in nats, weights are counts of words or bytes), max(samples) for "max".
    Without weights every sample weighs 1. Two scores over the same data in the same order can be compared pair by pair.
    """

    name: str
    samples: Sequence[float]
    weights: Sequence[float] | None = None
    aggregate: Aggregate = "mean"

    def __post_init__(self) -> None:
        if not self.samples:
            raise ValueError(f"score {self.name}: no samples")
        if self.weights is not None and len(self.weights) != len(self.samples):
            raise ValueError(f"score {self.name}: {len(self.weights)} weights for {len(self.samples)} samples")

    @property
    def value(self) -> float:
        """The score itself; infinity where the exponential overflows."""
        if self.aggregate == "max":
            return max(self.samples)
        mean = math.fsum(self.samples) / (math.fsum(self.weights) if self.weights is not None else len(self.samples))
        if self.aggregate == "mean":
            return mean
        return math.exp(mean) if mean < 700 else math.inf


def score_of_set(name: str, statistic: Callable[[NDArray[np.intp]], float], count: int, blocks: int = BLOCKS) -> Score:
    """A statistic of a whole set (AUC, FID, mAP, mIoU, Spearman, retrieval), which no single item has a share in.

    statistic: of the indices of the items that are taken, ascending. count: how many items there are, in the exam's own
    order. They are dealt to the blocks in turn, so that two candidates are compared block by block. Kept are the
    jackknife's pseudo-values (Tukey, 1958): of each block, what the statistic would be if all blocks were like it.
    Their mean is the statistic less its bias, and their spread tells its error. Raises ValueError for fewer than two
    items a block, or a statistic that is not finite.
    """
    if count < 2 * blocks:
        raise ValueError(f"score {name}: {count} items are too few for {blocks} blocks of two or more")
    every = np.arange(count)
    whole = float(statistic(every))
    without = [float(statistic(every[every % blocks != block])) for block in range(blocks)]
    if not np.isfinite([whole, *without]).all():
        raise ValueError(f"score {name}: the statistic is not finite over all items, or without one block of them")
    return Score(name, [blocks * whole - (blocks - 1) * part for part in without])
