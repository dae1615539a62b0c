"""A score of one row against that of others: item by item, seed by seed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache, reduce

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from bench.analyse.seeds import NOTHING, Prior, fitted
from bench.measure.statistics import CONFIDENCE, MIN_SEEDS
from bench.record.schema import Samples
from bench.registry.metrics import Metric

Matrix = NDArray[np.float64]
Ends = tuple[Matrix, Matrix, Matrix]
Found = tuple[Matrix, Matrix, Matrix, Matrix]
Error = tuple[Matrix, Matrix]
"""Standard errors, and their degrees of freedom."""

_Z = float(stats.norm.ppf(0.5 + CONFIDENCE / 2))
LEVELS = np.linspace(math.log(1e-15), 0.0, 300)
"""Logarithms of the chances at which intervals are looked at."""
APART = 5
"""Margins by which seeds are taken to differ where nothing tells by how much."""


@dataclass(frozen=True)
class Scored:
    """A score of a row: samples and weights (seeds x items). hangs: whether it hangs on its seed, by its card."""

    seeds: tuple[int, ...]
    aggregate: str
    table: Matrix
    weights: Matrix
    hangs: bool

    def of(self, seeds: Sequence[int]) -> "Scored":
        """The same with these of its seeds alone."""
        if tuple(seeds) == self.seeds:
            return self
        kept = [self.seeds.index(seed) for seed in seeds]
        return Scored(tuple(seeds), self.aggregate, self.table[kept], self.weights[kept], self.hangs)

    @cached_property
    def per_seed(self) -> Matrix:
        """The value of each seed; of "exp_mean" its logarithm."""
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

    @cached_property
    def variance(self) -> float:
        """Between its seeds; 0 with too few of them."""
        return float(self.per_seed.var(ddof=1)) if len(self.seeds) >= MIN_SEEDS else 0.0


@dataclass(frozen=True)
class Stack:
    """Rows with the same seeds, side by side. known: what all rows of the board tell of the spread between seeds."""

    rows: Sequence[Scored]
    known: Prior

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

    @cached_property
    def spreads(self) -> tuple[Matrix, float]:
        """Variances between the seeds of each row, and their degrees of freedom."""
        return spread_of(self.rows, self.known)


def scored_by(scores: Sequence[Samples], seeds: tuple[int, ...], metric: Metric, *, hangs: bool) -> Scored | None:
    """A score of a row; None where its seeds had other items each, or where a log ratio can't be had."""
    if len({(len(each.samples), each.aggregate) for each in scores}) > 1 or not scores[0].samples:
        return None
    table = np.asarray([each.samples for each in scores], dtype=np.float64)
    weights = np.asarray([each.weights or np.ones(table.shape[1]) for each in scores], dtype=np.float64)
    aggregate = scores[0].aggregate
    if metric.difference == "log ratio" and aggregate == "mean":
        if not (table > 0).all():
            return None
        table, weights, aggregate = np.log(table / weights), np.ones_like(weights), "exp_mean"
    return Scored(seeds, aggregate, table, weights, hangs)


def prior_of(rows: Sequence[Scored]) -> Prior:
    """What the rows tell of how much a row's seeds differ; of those with the fewest seeds that tell it."""
    seeded = [row for row in rows if row.variance > 0]
    fewest = min((len(row.seeds) for row in seeded), default=0)
    variances = [float(row.per_seed[:fewest].var(ddof=1)) for row in seeded]
    return fitted(np.array(variances), fewest - 1, len(seeded))


def prior_of_differences(rows: Sequence[Scored]) -> Prior:
    """The same of differences seed by seed, of rows with the same seeds."""
    seeded = [row for row in rows if row.variance > 0]
    if len(seeded) < 2:
        return NOTHING
    values = np.array([row.per_seed for row in seeded])
    variances = (values[:, None, :] - values[None, :, :]).var(axis=-1, ddof=1)
    return fitted(variances[np.triu_indices(len(seeded), 1)], values.shape[1] - 1, len(seeded) - 1)


def spread_of(rows: Sequence[Scored], known: Prior) -> tuple[Matrix, float]:
    """The variance between the seeds of each of these rows, which have the same seeds; and its degrees of freedom. A
    row that hangs on its seed and has too few is taken to spread like the one that spreads most; one that does not has
    none."""
    count = len(rows[0].seeds)
    if count >= MIN_SEEDS:
        raw = np.array([row.variance for row in rows])
        steadied, freedom = known.steadied(raw, count - 1)
        return np.where(raw > 0, steadied, 0.0), freedom
    hanging = np.array([row.hangs for row in rows])
    return np.where(hanging, known.largest, 0.0), math.inf


def differences(mine: Scored, theirs: Stack, paired: Prior | None, metric: Metric) -> Found:
    """How much a row differs from each of a stack, low and high ends, and the chance. paired: seed by seed, with what
    is known of how such differences spread; None: side against side."""
    _, _, tops, per_seed, _ = theirs.arrays
    means = per_seed.mean(axis=1)
    if mine.aggregate == "max":
        value = low = high = mine.table.max() - tops
        chance = np.where(value == 0, 1.0, 0.0)
        level = tops
    else:
        value = mine.per_seed.mean() - means
        low, high, chance = _ends(mine, theirs, paired, metric, value)
        level = means
    if mine.aggregate == "exp_mean":
        value, low, high, level = np.expm1(value), np.expm1(low), np.expm1(high), np.exp(means)
        scale = level
    else:
        scale = _scale(value, level, metric)
        value, low, high = value / scale, low / scale, high / scale
    least, most = ((end - level) / scale for end in metric.bounds)  # no difference is larger than the bounds allow
    return value, np.where(low < least, least, low), np.where(high > most, most, high), chance


def _scale(value: Matrix, level: Matrix, metric: Metric) -> Matrix:
    """What a difference is a share of."""
    if metric.difference == "absolute":
        return np.ones_like(level)
    return np.where(level != 0, np.abs(level), np.where(value != 0, np.abs(value), 1.0))


def _ends(mine: Scored, theirs: Stack, paired: Prior | None, metric: Metric, value: Matrix) -> Ends:
    """Low and high end of the difference, and the chance."""
    items = mine.table.shape[1]
    low, high = _over_items(mine, theirs, value)
    half = np.where(value > 0, value - low, high - value)
    binary = theirs.arrays[4] & mine.zero_one & (mine.aggregate == "mean")
    degrees = np.where(binary, np.inf, max(items - 1, 1))
    item = half / np.where(binary, _Z, student(max(items - 1, 1))), degrees
    low, high = _with_spread(mine, theirs.arrays[3], paired is not None, value, low, high)
    chance = _chance_of(value, item, *_errors_between(mine, theirs, paired))
    low, high, chance = _lost_in_every_seed(mine, theirs, metric, (value, low, high, chance), item)
    low, high = _where_not_finite(value, low, high)
    return low, high, np.where(np.isinf(value), 0.0, np.where(np.isnan(chance), 1.0, chance))


def _over_items(mine: Scored, theirs: Stack, value: Matrix) -> tuple[Matrix, Matrix]:
    """The interval over the items that were drawn."""
    shares, first, _, _, alike = theirs.arrays
    half = _half_width(mine.shares - shares)
    low, high = value - half, value + half
    binary = alike & (mine.aggregate == "mean")
    if mine.zero_one and binary.any():
        low[binary], high[binary] = _bonett_price(mine.table[0] - first[binary])
    return low, high


def _with_spread(
    mine: Scored, per_seed: Matrix, paired: bool, value: Matrix, low: Matrix, high: Matrix
) -> tuple[Matrix, Matrix]:
    """The interval with what the two rows' own seeds tell of their spread, as in `pooled_difference`."""
    if paired:  # what makes a seed hard for both cancels
        around = _squared_half_width(mine.per_seed - per_seed)
    else:
        around = _squared_half_width(mine.per_seed) + _squared_half_width(per_seed)
    low = np.where(around > 0, value - np.hypot(value - low, np.sqrt(around)), low)
    high = np.where(around > 0, value + np.hypot(high - value, np.sqrt(around)), high)
    return low, high


def _errors_between(mine: Scored, theirs: Stack, paired: Prior | None) -> list[Error]:
    """Those that come from the seeds."""
    per_seed = theirs.arrays[3]
    count = len(mine.seeds)
    if paired is not None and count >= MIN_SEEDS:
        raw = (mine.per_seed - per_seed).var(axis=-1, ddof=1)
        steadied, freedom = paired.steadied(raw, count - 1)
        return [(np.sqrt(np.where(raw > 0, steadied, 0.0) / count), np.full_like(raw, freedom))]
    return [
        (np.sqrt(variance / seeds), np.full_like(variance, freedom))
        for (variance, freedom), seeds in (
            (spread_of([mine], theirs.known), count),
            (theirs.spreads, per_seed.shape[1]),
        )
    ]


def _chance_of(value: Matrix, *errors: Error) -> Matrix:
    """Two-sided chance of a value with independent errors: the level at which an interval begins to hold 0 whose
    half-width is that of each error's own, in quadrature. To add the errors up first and to ask for degrees of freedom
    then (Satterthwaite) trusts an error too much that few seeds show small by chance."""
    squares = reduce(np.add, [(_quantiles(freedom) * error[:, None]) ** 2 for error, freedom in errors])
    known = squares[:, -2] > 0
    return np.array([
        np.exp(np.interp(-abs(x), -np.sqrt(row), LEVELS)) if some else float(x == 0)
        for x, row, some in zip(value, squares, known, strict=True)
    ])  # fmt: skip


def _half_of(chance: float, *errors: Error) -> Matrix:
    """Half-width of the interval that misses with this chance."""
    squares = [(stats.t.isf(chance / 2, freedom) * error) ** 2 for error, freedom in errors]
    half: Matrix = np.sqrt(reduce(np.add, squares))
    return half


def _quantiles(freedom: Matrix) -> Matrix:
    """Student's, at LEVELS: one line for each of these degrees of freedom."""
    different, which = np.unique(freedom, return_inverse=True)
    return np.array([_quantiles_of(each) for each in different])[which]


@lru_cache(maxsize=4096)
def _quantiles_of(freedom: float) -> Matrix:
    found: Matrix = stats.t.isf(np.exp(LEVELS) / 2, freedom)
    return found


def _lost_in_every_seed(mine: Scored, theirs: Stack, metric: Metric, found: Found, item: Error) -> Ends:
    """A loss in every seed is a loss, also where the seeds differ so widely that their mean says nothing.

    Where all seeds of one row lie beyond all of another, the first is held by its closest seed against what a further
    seed of the other would be (a prediction interval): how far off its other seeds are does not count. That is where an
    interval ends, too, that would hold 0.
    """
    value, low, high, chance = found
    here, there = mine.per_seed[None, :], theirs.arrays[3]
    clear = (here.min() > there.max(axis=1)) | (here.max() < there.min(axis=1))
    level = 1.0 if mine.aggregate == "exp_mean" else _scale(value, there.mean(axis=1), metric)
    unknown = np.broadcast_to(APART * metric.margin * level, value.shape)
    for seeds, others, rows in ((here, there, theirs.rows), (there, here, [mine])):
        if seeds.shape[1] < MIN_SEEDS or not clear.any():
            continue
        centre = others.mean(axis=1)
        closest = np.maximum(seeds.min(axis=1) - centre, centre - seeds.max(axis=1))
        of_board, alone = _further(rows, theirs.known, unknown), _further(rows, NOTHING, unknown)
        chance = np.where(clear, np.minimum(chance, _chance_of(closest, item, of_board)), chance)
        least = np.where(clear, closest - _half_of(1 - CONFIDENCE, item, alone), 0.0)
        open_ = (low <= 0) & (high >= 0) & (least > 0)
        low = np.where(open_ & (value > 0), least, low)
        high = np.where(open_ & (value < 0), -least, high)
    return low, high, chance


def _further(rows: Sequence[Scored], known: Prior, unknown: Matrix) -> Error:
    """How far a further seed may lie from the mean of each row's seeds. unknown: where nothing tells."""
    variance, freedom = spread_of(rows, known)
    told = variance > 0
    assumed = np.maximum(known.variance, unknown**2)
    degrees = np.where(told, freedom, np.where(unknown**2 < known.variance, known.freedom, np.inf))
    return np.sqrt(np.where(told, variance, assumed) * (1 + 1 / len(rows[0].seeds))), degrees


def _half_width(shares: Matrix) -> Matrix:
    items = shares.shape[1]
    if items < 2:
        return np.full(len(shares), np.inf)
    half: Matrix = student(items - 1) * np.sqrt(items / (items - 1) * (shares**2).sum(axis=1))
    return half


def _bonett_price(differences: Matrix) -> tuple[Matrix, Matrix]:
    """The adjusted Wald interval of `bench.measure.statistics.pooled_difference`, for each row of differences."""
    n = differences.shape[1]
    up = ((differences > 0).sum(axis=1) + 1) / (n + 2)
    down = ((differences < 0).sum(axis=1) + 1) / (n + 2)
    half = _Z * np.sqrt((up + down - (up - down) ** 2) / (n + 2))
    return np.maximum(-1.0, up - down - half), np.minimum(1.0, up - down + half)


def _squared_half_width(per_seed: Matrix) -> Matrix:
    """Of Student's interval of the spread between seeds, along the last axis; 0 with too few of them."""
    n = per_seed.shape[-1]
    if n < MIN_SEEDS:
        return np.zeros(per_seed.shape[:-1])
    half: Matrix = student(n - 1) * per_seed.std(axis=-1, ddof=1) / math.sqrt(n)
    return half**2


def _where_not_finite(value: Matrix, low: Matrix, high: Matrix) -> tuple[Matrix, Matrix]:
    """Infinity stands as itself, not-a-number could be anything."""
    low = np.where(np.isinf(value), value, np.where(np.isnan(value), -np.inf, low))
    return low, np.where(np.isinf(value), value, np.where(np.isnan(value), np.inf, high))


@cache
def student(freedom: int) -> float:
    """The quantile of Student's distribution that bounds a two-sided interval of CONFIDENCE."""
    return float(stats.t.ppf(0.5 + CONFIDENCE / 2, freedom))
