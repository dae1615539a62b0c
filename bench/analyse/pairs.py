"""Every row of a board against every other by one metric, for all pairs at once."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from bench.analyse.rows import Row, common_seeds
from bench.analyse.summary import Cost, row_costs
from bench.measure.statistics import CONFIDENCE, MIN_SEEDS
from bench.record.schema import Samples
from bench.registry.metrics import Metric

Matrix = NDArray[np.float64]
_Z = float(stats.norm.ppf(0.5 + CONFIDENCE / 2))


@dataclass(frozen=True)
class Pairs:
    """Relative improvement of row i over row j, positive is better, with its interval; not-a-number: not comparable.

    value, low, high: rows x rows. chance: how often two equal rows differ by so much or more, one pair taken
    alone.
    """

    value: Matrix
    low: Matrix
    high: Matrix
    chance: Matrix

    @property
    def comparable(self) -> NDArray[np.bool_]:
        """Which pairs can be compared. The value may be not-a-number there, the interval never is."""
        return ~np.isnan(self.low)

    def turned(self, metric: Metric) -> "Pairs":
        """Differences as improvements: of what is better when it is less, the other way round."""
        return self if metric.better == "higher" else Pairs(-self.value, -self.high, -self.low, self.chance)

    @property
    def beats(self) -> NDArray[np.bool_]:
        """Which row is surely better than which, all pairs taken together."""
        apart = self.told_apart(np.triu(np.ones(self.value.shape, dtype=bool), 1))
        found: NDArray[np.bool_] = (apart | apart.T) & (self.value > 0)
        return found

    def told_apart(self, which: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Pairs of those in `which` that surely differ, all of them taken together: of boards of equal rows at most one
        in twenty has any (Holm, 1979). A pair and its reverse are one, so `which` names it once."""
        at = np.argwhere(which & self.comparable)
        chances = self.chance[at[:, 0], at[:, 1]]
        order = np.argsort(chances, kind="stable")
        within = chances[order] <= (1 - CONFIDENCE) / np.arange(len(at), 0, -1)
        sure = order[: len(at) if within.all() else int(within.argmin())]
        found = np.zeros_like(which)
        found[at[sure, 0], at[sure, 1]] = True
        return found


def pairwise(rows: Sequence[Row], metric: Metric) -> Pairs:
    """Compare all rows (of one board) with each other by a score, or by a cost.

    Scores are compared item by item over the same data, and seed by seed over the seeds that both rows have, if these
    are enough (`common_seeds`). Times are compared by their ratios to the baseline where both have them, since those
    were measured next to it. A figure is exact: its interval has no width.
    """
    n = len(rows)
    pairs = Pairs(*(np.full((n, n), np.nan) for _ in range(4)))
    scored = [i for i, row in enumerate(rows) if any(metric.name in record.quality for record in row.ok)]
    others = sorted(set(range(n)) - set(scored))
    with np.errstate(all="ignore"):
        _compare_costs([rows[i] for i in others], metric.name, others, pairs)
        groups: dict[tuple[str, int], list[tuple[int, _Scored]]] = {}
        for i in scored:
            found = _scored(*rows[i].scores(metric.name))
            if found is not None:
                groups.setdefault((found.aggregate, found.table.shape[1]), []).append((i, found))
        for (aggregate, items), group in groups.items():
            _compare_scores([score for _, score in group], aggregate, items, [i for i, _ in group], pairs)
    return pairs.turned(metric)


@dataclass(frozen=True)
class _Scored:
    """A score of a row: samples and weights (seeds x items)."""

    seeds: tuple[int, ...]
    aggregate: str
    table: Matrix
    weights: Matrix

    def of(self, seeds: Sequence[int]) -> "_Scored":
        """The same with these of its seeds alone."""
        if tuple(seeds) == self.seeds:
            return self
        kept = [self.seeds.index(seed) for seed in seeds]
        return _Scored(tuple(seeds), self.aggregate, self.table[kept], self.weights[kept])

    @cached_property
    def per_seed(self) -> Matrix:
        """The value of each seed."""
        value: Matrix = self.table.sum(axis=1) / self.weights.sum(axis=1)
        return value

    @cached_property
    def shares(self) -> Matrix:
        """Each item's share in the error."""
        residuals = self.table - self.weights * self.per_seed[:, None]
        share: Matrix = (residuals / self.weights.sum(axis=1)[:, None]).mean(axis=0)
        return share

    @cached_property
    def zero_one(self) -> bool:
        """Whether each item is right or wrong, the same under every seed."""
        alike = np.all((self.table == self.table[0]) & ((self.table == 0) | (self.table == 1)))
        return bool(np.all(self.weights == 1)) and bool(alike)


def _squared_half_width(per_seed: Matrix) -> Matrix:
    """Of Student's interval of the spread between seeds, along the last axis; 0 with too few of them."""
    n = per_seed.shape[-1]
    if n < MIN_SEEDS:
        return np.zeros(per_seed.shape[:-1])
    half: Matrix = _student(n - 1) * per_seed.std(axis=-1, ddof=1) / math.sqrt(n)
    return half**2


def _scored(scores: Sequence[Samples], seeds: tuple[int, ...]) -> _Scored | None:
    if len({(len(each.samples), each.aggregate) for each in scores}) > 1 or not scores[0].samples:
        return None
    table = np.asarray([each.samples for each in scores], dtype=np.float64)
    weights = np.asarray([each.weights or np.ones(table.shape[1]) for each in scores], dtype=np.float64)
    return _Scored(seeds, scores[0].aggregate, table, weights)


@dataclass(frozen=True)
class _Stack:
    """Rows with the same seeds, side by side."""

    rows: Sequence[_Scored]

    @cached_property
    def arrays(self) -> tuple[Matrix, Matrix, Matrix, Matrix, NDArray[np.bool_]]:
        """Shares, first seeds' samples, tops, values of each seed, and which are right or wrong throughout."""
        return (
            np.array([row.shares for row in self.rows]),
            np.array([row.table[0] for row in self.rows]),
            np.array([row.table.max() for row in self.rows]),
            np.array([row.per_seed for row in self.rows]),
            np.array([row.zero_one for row in self.rows]),
        )


def _compare_scores(rows: Sequence[_Scored], aggregate: str, items: int, at: Sequence[int], pairs: Pairs) -> None:
    places: dict[tuple[int, ...], list[int]] = {}
    for i, row in enumerate(rows):
        places.setdefault(row.seeds, []).append(i)
    stacks: dict[tuple[tuple[int, ...], tuple[int, ...]], _Stack] = {}
    for i, where in enumerate(at):
        for seeds, theirs in places.items():
            common = common_seeds(rows[i].seeds, seeds)
            kept = seeds if common is None else common
            if (seeds, kept) not in stacks:
                stacks[seeds, kept] = _Stack([rows[j].of(kept) for j in theirs])
            mine = rows[i] if common is None else rows[i].of(common)
            found = _differences(mine, stacks[seeds, kept], common is not None, aggregate, items)
            columns = [at[j] for j in theirs]
            for part, values in zip(_parts(pairs), found, strict=True):
                part[where, columns] = values


def _differences(
    mine: _Scored, theirs: _Stack, paired: bool, aggregate: str, items: int
) -> tuple[Matrix, Matrix, Matrix, Matrix]:
    """How much a row differs from each of a stack, relative to that, and the chance; paired: seed by seed."""
    shares, first, tops, per_seed, alike = theirs.arrays
    means = per_seed.mean(axis=1)
    if aggregate == "max":
        value = low = high = mine.table.max() - tops
    else:
        value = mine.per_seed.mean() - means
        half = _half_width(mine.shares - shares, items)
        low, high = value - half, value + half
        binary = alike & (aggregate == "mean")
        if mine.zero_one and binary.any():
            low[binary], high[binary] = _bonett_price(mine.table[0] - first[binary])
        if paired:  # what makes a seed hard for both cancels
            around = _squared_half_width(mine.per_seed - per_seed)
        else:
            around = _squared_half_width(mine.per_seed) + _squared_half_width(per_seed)
        low = np.where(around > 0, value - np.hypot(value - low, np.sqrt(around)), low)
        high = np.where(around > 0, value + np.hypot(high - value, np.sqrt(around)), high)
        low, high = _where_not_finite(value, low, high)
    chance = _chance(value, low, high, items - 1)
    if aggregate == "exp_mean":
        return np.expm1(value), np.expm1(low), np.expm1(high), chance
    level = np.abs(tops if aggregate == "max" else means)
    scale = np.where(level > 0, level, np.where(value != 0, np.abs(value), 1.0))
    return value / scale, low / scale, high / scale, chance


def _chance(value: Matrix, low: Matrix, high: Matrix, freedom: float) -> Matrix:
    """Two-sided, from an interval of CONFIDENCE: how far it lies from 0, in its half-widths on that side."""
    half = np.where(value > 0, value - low, high - value)
    distance = np.where(value == 0, 0.0, np.abs(value) / half)
    if freedom < 1 or not np.isfinite(freedom):
        found: Matrix = 2 * stats.norm.sf(distance * _Z)
    else:
        found = 2 * stats.t.sf(distance * _student(int(freedom)), freedom)
    return np.where(np.isnan(found), 1.0, found)


def _half_width(differences: Matrix, items: int) -> Matrix:
    if items < 2:
        return np.full(len(differences), np.inf)
    squares: Matrix = (differences**2).sum(axis=1)
    return _student(items - 1) * np.sqrt(items / (items - 1) * squares)


def _bonett_price(differences: Matrix) -> tuple[Matrix, Matrix]:
    """The adjusted Wald interval of `bench.measure.statistics.pooled_difference`, for each row of differences."""
    n = differences.shape[1]
    up = ((differences > 0).sum(axis=1) + 1) / (n + 2)
    down = ((differences < 0).sum(axis=1) + 1) / (n + 2)
    half = _Z * np.sqrt((up + down - (up - down) ** 2) / (n + 2))
    return np.maximum(-1.0, up - down - half), np.minimum(1.0, up - down + half)


def _where_not_finite(value: Matrix, low: Matrix, high: Matrix) -> tuple[Matrix, Matrix]:
    """Infinity stands as itself, not-a-number could be anything."""
    low = np.where(np.isinf(value), value, np.where(np.isnan(value), -np.inf, low))
    return low, np.where(np.isinf(value), value, np.where(np.isnan(value), np.inf, high))


def _compare_costs(rows: Sequence[Row], name: str, at: Sequence[int], pairs: Pairs) -> None:
    """By the ratios to the baseline where both rows have them, else by the figures themselves."""
    if not at:
        return
    found = [row_costs(row) for row in rows]
    result = changes([costs.get(name) for costs in found])
    timed = name.removesuffix(".per_second")
    for other, inverse in ((f"{timed}.ratio", True), (f"{name}.ratio", False)):
        if inverse and timed == name:
            continue
        ratios = [costs.get(other) for costs in found]
        both = np.array([cost is not None for cost in ratios])
        both = both[:, None] & both[None, :]
        if both.any():
            preferred = changes(ratios)
            if inverse:  # throughput is the inverse of time
                preferred = Pairs(*(part.T for part in _parts(preferred)))
            result = Pairs(*(np.where(both, a, b) for a, b in zip(_parts(preferred), _parts(result), strict=True)))
    index = np.ix_(at, at)
    for part, values in zip(_parts(pairs), _parts(result), strict=True):
        part[index] = values


def _parts(pairs: Pairs) -> tuple[Matrix, Matrix, Matrix, Matrix]:
    return pairs.value, pairs.low, pairs.high, pairs.chance


@np.errstate(all="ignore")
def changes(costs: Sequence[Cost | None]) -> Pairs:
    """The relative change costs[i] / costs[j] - 1 of each pair of independent costs; None says nothing.

    Of positive costs on the log scale, so that the change back is its inverse; else as a share of the other.
    """
    usable = np.array([c is not None and c.value is not None and c.kind != "not realised" for c in costs])
    kept = [cost if ok else None for cost, ok in zip(costs, usable, strict=True)]
    value = np.array([math.nan if c is None or c.value is None else c.value for c in kept])
    low, high = (np.array([math.nan if c is None else getattr(c, end) for c in kept]) for end in ("low", "high"))
    logs = [np.log(np.where(x > 0, x, np.where(np.isnan(x), np.nan, 0.0))) for x in (value, low, high)]
    of_logs, of_values = _spread(*logs), _spread(value, low, high)
    in_logs = [*map(np.expm1, of_logs), _chance(*of_logs, math.inf)]
    level = np.abs(value)
    scale = np.where(level[None, :] > 0, level[None, :], np.where(level[:, None] > 0, level[:, None], 1.0))
    plain = [*(part / scale for part in of_values), _chance(*of_values, math.inf)]
    positive = (value[:, None] > 0) & (value[None, :] > 0)
    valid = usable[:, None] & usable[None, :]
    return Pairs(*(np.where(valid, np.where(positive, a, b), np.nan) for a, b in zip(in_logs, plain, strict=True)))


def _spread(value: Matrix, low: Matrix, high: Matrix) -> tuple[Matrix, Matrix, Matrix]:
    """value[i] - value[j] with the interval of two independent errors."""
    difference = value[:, None] - value[None, :]
    below, above = value - low, high - value
    return (
        difference,
        difference - np.hypot(below[:, None], above[None, :]),
        difference + np.hypot(above[:, None], below[None, :]),
    )


@cache
def _student(freedom: int) -> float:
    return float(stats.t.ppf(0.5 + CONFIDENCE / 2, freedom))
