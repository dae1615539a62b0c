"""A score keeps its samples: every statistic is computed from them when a record is read."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

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
