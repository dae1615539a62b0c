"""How much one row is better than another by one metric, with an interval."""

from dataclasses import dataclass

from bench.analyse.pairs import Pairs, changes, pairwise
from bench.analyse.rows import Row
from bench.analyse.summary import Cost, row_costs
from bench.registry.metrics import Metric

_LEVEL = Cost(1.0, 1.0, 1.0, 1, "×", "exact")


@dataclass(frozen=True)
class Improvement:
    """By which fraction of another's value something is better (positive) or worse (negative), with its interval."""

    value: float
    low: float
    high: float


def improvement(row: Row, other: Row, metric: Metric) -> Improvement | None:
    """How much better the row is than the other (see `pairwise`); None: not comparable."""
    return _first(pairwise([row, other], metric))


def change_from_baseline(row: Row, metric: Metric) -> Improvement | None:
    """The same for a metric that is a ratio to the baseline already: how much better than 1; None without it."""
    return _first(changes([row_costs(row).get(metric.name), _LEVEL]).turned(metric))


def _first(pairs: Pairs) -> Improvement | None:
    """The first against the second."""
    if not pairs.comparable[0, 1]:
        return None
    return Improvement(*pairs.of(0, 1))
