"""Every row of a board against every other by one metric, for all pairs at once."""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from bench.analyse.rows import Row, common_seeds
from bench.analyse.scored import Scored, Stack, differences, prior_of, prior_of_differences, scored_by
from bench.analyse.seeds import NOTHING
from bench.analyse.summary import Cost, figure, row_costs
from bench.measure.statistics import CONFIDENCE
from bench.registry.metrics import Metric

Matrix = NDArray[np.float64]
_Z = float(stats.norm.ppf(0.5 + CONFIDENCE / 2))


@dataclass(frozen=True)
class Pairs:
    """Improvement of row i over row j, positive is better, with its interval; not-a-number: not comparable. Relative,
    unless the metric's differences are absolute.

    value, low, high: rows x rows, each pair taken alone. chance: how often two equal rows differ by so much or more, by
    what the whole board tells of the spread between seeds; one pair taken alone.
    """

    value: Matrix
    low: Matrix
    high: Matrix
    chance: Matrix

    @property
    def parts(self) -> tuple[Matrix, Matrix, Matrix, Matrix]:
        """value, low, high, chance."""
        return self.value, self.low, self.high, self.chance

    def of(self, i: int, j: int) -> tuple[float, float, float]:
        """value, low and high of row i over row j."""
        return float(self.value[i, j]), float(self.low[i, j]), float(self.high[i, j])

    def mapped(self, change: Callable[[Matrix], Matrix]) -> "Pairs":
        """The same done to every part."""
        return Pairs(*map(change, self.parts))

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
        sure = self.told_apart(np.triu(np.ones(self.value.shape, dtype=bool), 1))
        found: NDArray[np.bool_] = (sure | sure.T) & (self.value > 0)
        return found

    def told_apart(self, which: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Pairs of those in `which` that surely differ, all of them taken together. A pair and its reverse are one, so
        `which` names it once."""
        return apart(self.chance, which & self.comparable)


def apart(chance: Matrix, which: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Those comparisons in `which` that chance does not explain, all of them taken together: of boards of equal rows at
    most one in twenty has any (Holm, 1979)."""
    at = np.argwhere(which)
    chances = chance[at[:, 0], at[:, 1]]
    order = np.argsort(chances, kind="stable")
    within = chances[order] <= (1 - CONFIDENCE) / np.arange(len(at), 0, -1)
    sure = order[: len(at) if within.all() else int(within.argmin())]
    found = np.zeros_like(which)
    found[at[sure, 0], at[sure, 1]] = True
    return found


def pairwise(rows: Sequence[Row], metric: Metric, stochastic: Collection[str] = ()) -> Pairs:
    """Compare all rows (of one board) with each other by a score, or by a cost.

    Scores are compared item by item over the same data, and seed by seed over the seeds that both rows have, if these
    are enough (`common_seeds`); where the items are each run's own, value against value. A row that loses in every seed
    has lost, however widely its seeds differ. Times are compared by their ratios to the baseline where both have them,
    since those were measured next to it. A figure is exact: its interval has no width.
    stochastic: slugs of methods that hang on their seed: with too few seeds to tell, they are taken to spread like the
    row that spreads most.
    """
    n = len(rows)
    pairs = Pairs(*(np.full((n, n), np.nan) for _ in range(4)))
    scored = [i for i, row in enumerate(rows) if any(metric.name in record.quality for record in row.ok)]
    others = sorted(set(range(n)) - set(scored))
    with np.errstate(all="ignore"):
        _compare_costs([rows[i] for i in others], metric.name, others, pairs)
        if metric.own_items:
            _place(pairs, scored, changes([figure(rows[i], metric) for i in scored]))
        else:
            _compare_all_scores(rows, scored, metric, stochastic, pairs)
    return pairs.turned(metric)


def _compare_all_scores(
    rows: Sequence[Row], scored: Sequence[int], metric: Metric, stochastic: Collection[str], pairs: Pairs
) -> None:
    groups: dict[tuple[str, int], list[tuple[int, Scored]]] = {}
    for i in scored:
        found = scored_by(*rows[i].scores(metric.name), metric, hangs=rows[i].method in stochastic)
        if found is not None:
            groups.setdefault((found.aggregate, found.table.shape[1]), []).append((i, found))
    for group in groups.values():
        _compare_scores([score for _, score in group], metric, [i for i, _ in group], pairs)


def _compare_scores(rows: Sequence[Scored], metric: Metric, at: Sequence[int], pairs: Pairs) -> None:
    """Rows that have the same aggregate over as many items."""
    places: dict[tuple[int, ...], list[int]] = {}
    for i, row in enumerate(rows):
        places.setdefault(row.seeds, []).append(i)
    known = prior_of(rows)
    known_of_differences = {seeds: prior_of_differences([rows[j] for j in theirs]) for seeds, theirs in places.items()}
    stacks: dict[tuple[tuple[int, ...], tuple[int, ...]], Stack] = {}
    for i, where in enumerate(at):
        for seeds, theirs in places.items():
            common = common_seeds(rows[i].seeds, seeds)
            kept = seeds if common is None else common
            if (seeds, kept) not in stacks:
                stacks[seeds, kept] = Stack([rows[j].of(kept) for j in theirs], known)
            mine = rows[i] if common is None else rows[i].of(common)
            prior = known_of_differences.get(kept, NOTHING)
            found = differences(mine, stacks[seeds, kept], None if common is None else prior, metric)
            columns = [at[j] for j in theirs]
            for part, values in zip(pairs.parts, found, strict=True):
                part[where, columns] = values


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
                preferred = preferred.mapped(np.transpose)
            result = Pairs(*(np.where(both, a, b) for a, b in zip(preferred.parts, result.parts, strict=True)))
    _place(pairs, at, result)


def _place(pairs: Pairs, at: Sequence[int], found: Pairs) -> None:
    index = np.ix_(at, at)
    for part, values in zip(pairs.parts, found.parts, strict=True):
        part[index] = values


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
    in_logs = [*map(np.expm1, of_logs), chance_of(*of_logs)]
    level = np.abs(value)
    scale = np.where(level[None, :] > 0, level[None, :], np.where(level[:, None] > 0, level[:, None], 1.0))
    plain = [*(part / scale for part in of_values), chance_of(*of_values)]
    positive = (value[:, None] > 0) & (value[None, :] > 0)
    valid = usable[:, None] & usable[None, :]
    return Pairs(*(np.where(valid, np.where(positive, a, b), np.nan) for a, b in zip(in_logs, plain, strict=True)))


def chance_of(value: Matrix, low: Matrix, high: Matrix) -> Matrix:
    """Two-sided, from an interval of CONFIDENCE: how far it lies from 0, in its half-widths on that side."""
    half = np.where(value > 0, value - low, high - value)
    distance = np.where(value == 0, 0.0, np.abs(value) / half)
    found: Matrix = 2 * stats.norm.sf(distance * _Z)
    return np.where(np.isnan(found), 1.0, found)


def _spread(value: Matrix, low: Matrix, high: Matrix) -> tuple[Matrix, Matrix, Matrix]:
    """value[i] - value[j] with the interval of two independent errors."""
    difference = value[:, None] - value[None, :]
    below, above = value - low, high - value
    return (
        difference,
        difference - np.hypot(below[:, None], above[None, :]),
        difference + np.hypot(above[:, None], below[None, :]),
    )
