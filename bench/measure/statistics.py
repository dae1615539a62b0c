"""From samples to values with intervals. Pure functions of numbers; every figure of the leaderboard comes through here.

All intervals have 95 % confidence. An interval that the samples cannot support is infinitely wide, never a guess.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Aggregate = Literal["mean", "exp_mean", "max"]
Verdict = Literal["better", "same", "worse", "unsure"]
Vector = NDArray[np.float64]

CONFIDENCE = 0.95
MIN_PAIRS = 6
"""Fewest pairs of times for a 95 % interval: with five, even the widest signed-rank interval covers 93.75 %."""
MIN_SEEDS = 3
"""Fewest seeds from which the spread between seeds is estimated."""
_MAX_WALSH = 1000  # more pairs than this are batched first: the Walsh averages take n^2/2 numbers
_Z = float(stats.norm.ppf(0.5 + CONFIDENCE / 2))
_ONE_SIDED_Z = float(stats.norm.ppf(CONFIDENCE))


class SampleSet(Protocol):
    """What `bench.contract.Score` and `bench.record.schema.Samples` have in common."""

    @property
    def samples(self) -> Sequence[float]: ...
    @property
    def weights(self) -> Sequence[float] | None: ...
    @property
    def aggregate(self) -> Aggregate: ...


@dataclass(frozen=True)
class Estimate:
    """A value with its confidence interval. stderr is None where there is none; n counts the samples behind it."""

    value: float
    low: float
    high: float
    stderr: float | None
    n: int
    confidence: float = CONFIDENCE


@dataclass(frozen=True)
class _Set:
    samples: Sequence[float]
    weights: Sequence[float] | None
    aggregate: Aggregate


def mean_estimate(
    samples: Sequence[float], weights: Sequence[float] | None = None, aggregate: Aggregate = "mean"
) -> Estimate:
    """The value of a score and its interval over the items that were drawn.

    "mean": sum(samples) / sum(weights), the ratio estimator, with its linearised standard error and Student's t
    (Cochran, Sampling Techniques, 1977, section 6.4); samples that are all 0 or 1 get Wilson's interval (Wilson, 1927).
    "exp_mean": the same on the log scale, then the exponential. "max": no interval, low = high = value.
    Raises ValueError without samples.
    """
    return pooled_estimate([_Set(samples, weights, aggregate)])


def pooled_estimate(seeds: Sequence[SampleSet]) -> Estimate:
    """One estimate from the same items scored under several seeds: the mean over the seeds.

    Each item is averaged over the seeds, so that the interval over items stays honest however many seeds there are.
    From MIN_SEEDS seeds on, Student's interval of the spread between seeds is added in quadrature.
    With "exp_mean" the mean is taken on the log scale; with "max" it is the largest, without an interval.
    Raises ValueError if the seeds did not score the same number of items.
    """
    aggregate, table, weights = _stack(seeds)
    n = table.shape[1]
    if aggregate == "max":
        top = float(table.max())
        return Estimate(top, top, top, None, n)
    with np.errstate(invalid="ignore", over="ignore"):
        per_seed = table.sum(axis=1) / weights.sum(axis=1)
        value = float(per_seed.mean())
    if not math.isfinite(value):
        return _transformed(aggregate, _unbounded(value, n))
    items = table.mean(axis=0)
    zero_one = aggregate == "mean" and bool(np.all(weights == 1))
    if zero_one and bool(np.all((items == 0) | (items == 1))):
        estimate = _wilson(value, n)
    else:
        estimate = _student(value, _linear(table, weights, per_seed))
    estimate = _with_seed_spread(estimate, [per_seed])
    if zero_one and bool(np.all((table == 0) | (table == 1))):
        estimate = Estimate(value, max(0.0, estimate.low), min(1.0, estimate.high), estimate.stderr, n)
    return _transformed(aggregate, estimate)


def paired_difference(a: SampleSet, b: SampleSet) -> Estimate:
    """How much `a` differs from `b` over the same items; see `pooled_difference`."""
    return pooled_difference([a], [b])


def pooled_difference(a: Sequence[SampleSet], b: Sequence[SampleSet], *, same_seeds: bool = False) -> Estimate:
    """The difference a - b over the same items in the same order, each averaged over its seeds.

    "mean": the difference of the two means; "exp_mean": the relative change a/b - 1 (from the difference of the logs).
    Item by item, so what makes an item hard for both cancels. Pairs of 0/1 get the adjusted Wald interval of Bonett and
    Price (2012), which does not collapse when no pair disagrees. "max": a difference without an interval.
    The spread between seeds of each side is added as in `pooled_estimate`. same_seeds: both have the same in the same
    order; then that of the differences seed by seed is, so that what makes a seed hard for both (the data that it
    draws) cancels too. Raises ValueError if the items differ.
    """
    aggregate, left, left_weights = _stack(a)
    other, right, right_weights = _stack(b)
    if aggregate != other or left.shape[1] != right.shape[1]:
        raise ValueError(
            f"not the same data: {left.shape[1]} items ({aggregate}) against {right.shape[1]} items ({other})"
        )
    n = left.shape[1]
    if aggregate == "max":
        gap = float(left.max()) - float(right.max())
        return Estimate(gap, gap, gap, None, n)
    with np.errstate(invalid="ignore", over="ignore"):
        left_seeds = left.sum(axis=1) / left_weights.sum(axis=1)
        right_seeds = right.sum(axis=1) / right_weights.sum(axis=1)
        value = float(left_seeds.mean() - right_seeds.mean())
    if not math.isfinite(value):
        return _transformed(aggregate, _unbounded(value, n), change=True)
    binary = all(
        bool(np.all(weights == 1)) and bool(np.all((table == table[0]) & ((table == 0) | (table == 1))))
        for table, weights in ((left, left_weights), (right, right_weights))
    )
    if binary and aggregate == "mean":
        estimate = _bonett_price(left[0] - right[0])
    else:
        linear = _linear(left, left_weights, left_seeds) - _linear(right, right_weights, right_seeds)
        estimate = _student(value, linear)
    estimate = _with_seed_spread(estimate, [left_seeds - right_seeds] if same_seeds else [left_seeds, right_seeds])
    return _transformed(aggregate, estimate, change=True)


def ratio_interval(candidate: Sequence[float], baseline: Sequence[float]) -> Estimate:
    """The ratio of paired times, candidate[i] / baseline[i], which ran next to each other.

    Hodges-Lehmann estimate of the log ratio and the exact Wilcoxon signed-rank interval (Hollander, Wolfe and Chicken,
    Nonparametric Statistical Methods, 2014, sections 3.2-3.3): outliers on either side move it little. It rests on
    independence. Where neighbouring pairs resemble each other, adjacent pairs are averaged first; the interval is then
    stretched by what is left, and by half a standard error of it more, as few pairs cannot tell dependence from chance.
    In simulations it covers 96-98 % of independent pairs, 93 % or more where neighbours correlate by 0.3, and stays too
    narrow where fewer than about 50 pairs correlate by 0.6.
    n counts pairs. Below MIN_PAIRS the interval is (0, inf). Raises ValueError if a time is not positive.
    """
    if len(candidate) != len(baseline):
        raise ValueError(f"{len(candidate)} candidate times for {len(baseline)} baseline times")
    if not candidate:
        raise ValueError("no pairs of times")
    times, base = np.asarray(candidate, dtype=np.float64), np.asarray(baseline, dtype=np.float64)
    if not (np.all(np.isfinite(times) & (times > 0)) and np.all(np.isfinite(base) & (base > 0))):
        raise ValueError("times must be positive and finite")
    pairs = len(times)
    logs = np.log(times / base)
    if pairs < MIN_PAIRS:
        return Estimate(math.exp(float(np.median(logs))), 0.0, math.inf, None, pairs)
    logs = _independent(logs)
    walsh = np.concatenate([(logs[i:] + logs[i]) / 2 for i in range(len(logs))])
    k = _signed_rank_index(len(logs))
    walsh = np.partition(walsh, (k - 1, len(walsh) - k))  # cheaper than sorting
    value, low, high = float(np.median(walsh)), float(walsh[k - 1]), float(walsh[len(walsh) - k])
    stretch = _stretch(logs)
    low, high = value - stretch * (value - low), value + stretch * (high - value)
    return Estimate(math.exp(value), math.exp(low), math.exp(high), None, pairs)


def median_estimate(samples: Sequence[float]) -> Estimate:
    """The median with its order-statistic (sign test) interval; (-inf, inf) below MIN_PAIRS samples."""
    if not samples:
        raise ValueError("no samples")
    ordered = np.sort(np.asarray(samples, dtype=np.float64))
    n = len(ordered)
    value = float(np.median(ordered))
    if n < MIN_PAIRS:
        return Estimate(value, -math.inf, math.inf, None, n)
    k = _sign_test_index(n)
    return Estimate(value, float(ordered[k - 1]), float(ordered[n - k]), None, n)


@cache
def min_samples(q: float) -> int:
    """Fewest samples for percentile q (0 < q < 1): 64 for p90, 662 for p99, 11 for the median.

    The smallest n for which two or more samples lie beyond the true percentile with 99 % probability, as the early
    stopping rule of MLPerf's LoadGen asks with one sample discarded.
    """
    tail = min(q, 1 - q)
    if not 0 < tail <= 0.5:
        raise ValueError(f"percentile {q} is not between 0 and 1")
    low, high = 1, 4
    while _at_most_one_beyond(high, tail) > 0.01:
        low, high = high, high * 2
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _at_most_one_beyond(middle, tail) <= 0.01 else (middle + 1, high)
    return high


def percentile(samples: Sequence[float], q: float) -> float | None:
    """Percentile q (0 < q < 1) of the samples, or None if there are fewer than `min_samples(q)`.

    The nearest rank from above: never a value better than what was seen.
    """
    if len(samples) < min_samples(q):
        return None
    return float(np.percentile(np.asarray(samples, dtype=np.float64), 100 * q, method="higher"))


def percentile_interval(samples: Sequence[float], q: float) -> Estimate | None:
    """`percentile` with its interval from order statistics, which assumes nothing of the distribution (David and
    Nagaraja, Order Statistics, 2003, section 7.1). None below `min_samples(q)`, like the percentile itself.
    """
    value = percentile(samples, q)
    if value is None:
        return None
    n, tail = len(samples), (1 - CONFIDENCE) / 2
    ordered = np.sort(np.asarray(samples, dtype=np.float64))
    below, above = int(stats.binom.ppf(tail, n, q)), int(stats.binom.ppf(1 - tail, n, q)) + 1
    low = float(ordered[below - 1]) if below >= 1 else -math.inf
    return Estimate(value, low, float(ordered[above - 1]) if above <= n else math.inf, None, n)


def verdict(low: float, high: float, margin: float = 0.0) -> Verdict:
    """Reads the interval of an improvement (positive is better) against a margin that does not matter.

    "better" or "worse": wholly beyond the margin; "same": wholly within it; "unsure": anything else.
    """
    if low > margin:
        return "better"
    if high < -margin:
        return "worse"
    return "same" if low >= -margin and high <= margin else "unsure"


def mean_with_spread(values: Sequence[float]) -> Estimate:
    """The mean of single measurements repeated under several seeds; (-inf, inf) below MIN_SEEDS of them."""
    data = np.asarray(values, dtype=np.float64)
    if len(data) < MIN_SEEDS:
        return Estimate(float(data.mean()), -math.inf, math.inf, None, len(data))
    return _student(float(data.mean()), (data - data.mean()) / len(data))


def _stack(seeds: Sequence[SampleSet]) -> tuple[Aggregate, Vector, Vector]:
    """Aggregate, samples and weights (seeds x items) of score sets over the same items."""
    if not seeds or not len(seeds[0].samples):
        raise ValueError("no samples")
    if len({len(seed.samples) for seed in seeds}) > 1 or len({seed.aggregate for seed in seeds}) > 1:
        raise ValueError("the seeds did not score the same items")
    table = np.asarray([seed.samples for seed in seeds], dtype=np.float64)
    weights = np.asarray([seed.weights or np.ones(table.shape[1]) for seed in seeds], dtype=np.float64)
    return seeds[0].aggregate, table, weights


def _linear(table: Vector, weights: Vector, per_seed: Vector) -> Vector:
    """Each item's share in the error of the ratio estimator (its linearised residual), averaged over the seeds."""
    totals = weights.sum(axis=1, keepdims=True)
    shares: Vector = ((table - weights * per_seed[:, None]) / totals).mean(axis=0)
    return shares


def _student(value: float, shares: Vector) -> Estimate:
    n = len(shares)
    if n < 2:
        return Estimate(value, -math.inf, math.inf, None, n)
    stderr = math.sqrt(n / (n - 1) * float(np.sum(shares**2)))
    half = _student_quantile(n - 1) * stderr
    return Estimate(value, value - half, value + half, stderr, n)


def share_interval(hits: int, n: int) -> Estimate:
    """The share of hits among n tries, with Wilson's interval (1927)."""
    if not 0 <= hits <= n or n == 0:
        raise ValueError(f"{hits} hits in {n} tries")
    return _wilson(hits / n, n)


def _wilson(share: float, n: int) -> Estimate:
    z2 = _Z**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    stderr = math.sqrt(share * (1 - share) / (n - 1)) if n > 1 else None
    return Estimate(share, min(share, max(0.0, centre - half)), max(share, min(1.0, centre + half)), stderr, n)


def _bonett_price(differences: Vector) -> Estimate:
    n = len(differences)
    up = (float(np.sum(differences > 0)) + 1) / (n + 2)
    down = (float(np.sum(differences < 0)) + 1) / (n + 2)
    stderr = math.sqrt((up + down - (up - down) ** 2) / (n + 2))
    low, high = max(-1.0, up - down - _Z * stderr), min(1.0, up - down + _Z * stderr)
    return Estimate(float(differences.mean()), low, high, stderr, n)


def _with_seed_spread(estimate: Estimate, groups: Sequence[Vector]) -> Estimate:
    """Widen by the spread between seeds of each group that has enough of them."""
    spread = errors = 0.0
    for seeds in groups:
        if len(seeds) >= MIN_SEEDS:
            error = float(seeds.std(ddof=1)) / math.sqrt(len(seeds))
            errors += error**2
            spread += (_student_quantile(len(seeds) - 1) * error) ** 2
    if not spread:
        return estimate
    low = estimate.value - math.hypot(estimate.value - estimate.low, math.sqrt(spread))
    high = estimate.value + math.hypot(estimate.high - estimate.value, math.sqrt(spread))
    stderr = None if estimate.stderr is None else math.sqrt(estimate.stderr**2 + errors)
    return Estimate(estimate.value, low, high, stderr, estimate.n)


def _unbounded(value: float, n: int) -> Estimate:
    """A value that is not finite: infinity stands as itself (worse than all), not-a-number could be anything."""
    if math.isnan(value):
        return Estimate(value, -math.inf, math.inf, None, n)
    return Estimate(value, value, value, None, n)


def _transformed(aggregate: Aggregate, estimate: Estimate, change: bool = False) -> Estimate:
    """Back from the log scale where the aggregate is "exp_mean"; as a relative change where asked."""
    if aggregate != "exp_mean":
        return estimate
    value, low, high = (_exp(x) for x in (estimate.value, estimate.low, estimate.high))
    stderr = None if estimate.stderr is None else value * estimate.stderr
    shift = 1.0 if change else 0.0
    return Estimate(value - shift, low - shift, high - shift, stderr, estimate.n)


def _exp(x: float) -> float:
    return math.inf if x >= 700 else math.exp(x)


def _independent(logs: Vector) -> Vector:
    """Batch means of 2, 4, 8... neighbours, if their lag-1 rank autocorrelation passes the one-sided 5 % level.

    Batches then grow until no autocorrelation is left at all: stopping as soon as it is no longer significant was
    seen to cover 85-88 % in place of 95 %. Never fewer than MIN_PAIRS batches.
    """
    level = _ONE_SIDED_Z / math.sqrt(len(logs))
    while len(logs) >= 2 * MIN_PAIRS and (len(logs) > _MAX_WALSH or _autocorrelation(logs) > level):
        if len(logs) <= _MAX_WALSH:
            level = 0.0
        logs = logs[len(logs) % 2 :].reshape(-1, 2).mean(axis=1)
    return logs


def _stretch(logs: Vector) -> float:
    """How much wider the interval of a first-order autoregressive series is than that of independent values."""
    dependence = _autocorrelation(logs) + 0.5 / math.sqrt(len(logs))
    dependence = min(max(dependence, 0.0), 0.9)
    return math.sqrt((1 + dependence) / (1 - dependence))


def _autocorrelation(values: Vector) -> float:
    """Lag-1 autocorrelation of the ranks (outliers count little), with its bias of -1/n under independence removed."""
    ranks = _ranks(values) - (len(values) + 1) / 2
    total = float(ranks @ ranks)
    return float(ranks[1:] @ ranks[:-1]) / total + 1 / len(values) if total else 0.0


def _ranks(values: Vector) -> Vector:
    """Ranks from 1, ties their mean; scipy's rankdata does the same with ten times the overhead."""
    ordered = np.sort(values)
    below, upto = np.searchsorted(ordered, values, "left"), np.searchsorted(ordered, values, "right")
    ranks: Vector = (below + upto + 1) / 2
    return ranks


@cache
def _signed_rank_index(n: int) -> int:
    """Which smallest and largest Walsh average bound the 95 % interval (1: the extremes); exact up to n = 50."""
    tail = (1 - CONFIDENCE) / 2
    if n > 50:
        mean, deviation = n * (n + 1) / 4, math.sqrt(n * (n + 1) * (2 * n + 1) / 24)
        return max(1, math.floor(mean - _Z * deviation))
    counts = np.zeros(n * (n + 1) // 2 + 1)
    counts[0] = 1
    for rank in range(1, n + 1):
        counts[rank:] = counts[rank:] + counts[:-rank]
    return max(1, int(np.searchsorted(np.cumsum(counts) / 2.0**n, tail, side="right")))


@cache
def _sign_test_index(n: int) -> int:
    """Which smallest and largest of n samples bound the 95 % interval of their median (1: the extremes)."""
    return max(1, int(stats.binom.ppf((1 - CONFIDENCE) / 2, n, 0.5)))


@cache
def _student_quantile(freedom: int) -> float:
    return float(stats.t.ppf(0.5 + CONFIDENCE / 2, freedom))


def _at_most_one_beyond(n: int, tail: float) -> float:
    return float(stats.binom.cdf(1, n, tail))
