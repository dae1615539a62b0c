"""How much one row is better than another by one metric, with an interval."""

import math

from bench.analyse.rows import Row, common_seeds
from bench.analyse.summary import Cost, row_costs
from bench.contract import Metric
from bench.measure.statistics import Estimate, pooled_difference

MARGIN = 0.02
"""A relative difference that does not matter: within it on both sides two methods count as the same."""


def improvement(row: Row, other: Row, metric: Metric) -> Estimate | None:
    """By which fraction of the other's value the row is better (positive) or worse (negative); None: not comparable.

    Scores are compared item by item over the same data, and seed by seed over the seeds that both rows have, if these
    are enough (`common_seeds`). Times are compared by their ratios to the baseline where both have them, since those
    were measured next to it. A figure is exact: its interval has no width.
    """
    if any(metric.name in record.quality for record in row.ok):
        change = _score_change(row, other, metric.name)
    else:
        change = cost_change(*_costs_to_compare(row, other, metric.name))
    if change is None:
        return None
    return _negated(change) if metric.better == "lower" else change


def change_from_baseline(row: Row, metric: Metric) -> Estimate | None:
    """The same for a metric that is a ratio to the baseline already: how much better than 1; None without it."""
    change = cost_change(row_costs(row).get(metric.name), Cost(1.0, 1.0, 1.0, 1, "×", "exact"))
    if change is None:
        return None
    return _negated(change) if metric.better == "lower" else change


def cost_change(cost: Cost | None, other: Cost | None) -> Estimate | None:
    """The relative change cost/other - 1 of two independent costs; None if either says nothing."""
    if cost is None or other is None or cost.value is None or other.value is None:
        return None
    if "not realised" in (cost.kind, other.kind):
        return None
    n = min(cost.n, other.n)
    if cost.value > 0 and other.value > 0:
        value = math.log(cost.value) - math.log(other.value)
        low = value - math.hypot(_log(cost.value) - _log(cost.low), _log(other.high) - _log(other.value))
        high = value + math.hypot(_log(cost.high) - _log(cost.value), _log(other.value) - _log(other.low))
        return Estimate(_expm1(value), _expm1(low), _expm1(high), None, n)
    scale = abs(other.value) or abs(cost.value) or 1.0
    value = cost.value - other.value
    low = value - math.hypot(cost.value - cost.low, other.high - other.value)
    high = value + math.hypot(cost.high - cost.value, other.value - other.low)
    return Estimate(value / scale, low / scale, high / scale, None, n)


def _score_change(row: Row, other: Row, name: str) -> Estimate | None:
    left, seeds = row.scores(name)
    right, other_seeds = other.scores(name)
    if not left or not right:
        return None
    common = common_seeds(seeds, other_seeds)
    if common is not None:
        left = [samples for samples, seed in zip(left, seeds, strict=True) if seed in common]
        right = [samples for samples, seed in zip(right, other_seeds, strict=True) if seed in common]
    try:
        change = pooled_difference(left, right, same_seeds=common is not None)
    except ValueError:  # other items: another version of the data, or a run that was cut short
        return None
    if left[0].aggregate == "exp_mean":
        return change
    levels = [math.fsum(s.samples) / math.fsum(s.weights or [1.0] * len(s.samples)) for s in right]
    level = max(max(s.samples) for s in right) if right[0].aggregate == "max" else math.fsum(levels) / len(levels)
    scale = abs(level) or abs(change.value) or 1.0
    return Estimate(change.value / scale, change.low / scale, change.high / scale, None, change.n)


def _costs_to_compare(row: Row, other: Row, name: str) -> tuple[Cost | None, Cost | None]:
    left, right = row_costs(row), row_costs(other)
    paired = f"{name}.ratio"
    if paired in left and paired in right:
        return left[paired], right[paired]
    timed = name.removesuffix(".per_second")
    if timed != name and f"{timed}.ratio" in left and f"{timed}.ratio" in right:
        return right[f"{timed}.ratio"], left[f"{timed}.ratio"]  # throughput is the inverse of time
    return left.get(name), right.get(name)


def _negated(change: Estimate) -> Estimate:
    return Estimate(-change.value, -change.high, -change.low, change.stderr, change.n)


def _log(x: float) -> float:
    if x <= 0:
        return -math.inf
    return math.log(x)


def _expm1(x: float) -> float:
    return math.expm1(x) if x < 700 else math.inf
