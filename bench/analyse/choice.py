"""What is best within a limit, as a step function of the limit: whoever shows it needs no statistics of their own."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.analyse.compare import Improvement
from bench.analyse.pairs import pairwise
from bench.analyse.rows import Row
from bench.analyse.summary import figure, value_of
from bench.registry.metrics import Metric


@dataclass(frozen=True)
class Choice:
    """What is best where the limit is `limit` or more, until the next choice's.

    first: the row of the best value, then, best value first, the others that none surely beats: they are not told
    apart. control: of the controls that keep the limit the one of the best value. of: how many configurations keep it.
    """

    limit: float
    first: tuple[Row, ...]
    control: Row | None
    of: int


class Chooser:
    """Chooses among rows that sat one exam, of any operating points. controls: slugs of those that a method has to
    beat. stochastic: see `pairwise`."""

    def __init__(
        self, rows: Sequence[Row], score: Metric, controls: Collection[str], stochastic: Collection[str] = ()
    ) -> None:
        self._index = {row: i for i, row in enumerate(rows)}
        self._controls = controls
        self._pairs = pairwise(rows, score, stochastic)
        sign = 1 if score.better == "higher" else -1
        self._value = [sign * value_of(figure(row, score)) for row in rows]

    def choices(self, costs: Mapping[Row, float]) -> list[Choice]:
        """The choices by ascending limit, one for each limit at which another is made.

        costs: of each row that may be chosen what it takes of what is limited. Of a configuration (by its name) that
        stands at several operating points the best that keeps the limit counts. Those are held against each other as on
        a board, all pairs together (Holm).
        """
        kept = [row for row, cost in costs.items() if not np.isnan(cost) and not np.isnan(self._of(row))]
        order = sorted(kept, key=lambda row: (costs[row], self._of(row)))
        found: list[Choice] = []
        within: dict[str, Row] = {}
        for row, after in zip(order, [*order[1:], None], strict=False):
            if row.name not in within or self._of(row) >= self._of(within[row.name]):
                within[row.name] = row
            if after is not None and costs[after] == costs[row]:
                continue
            chosen = self._choose(list(within.values()), costs[row])
            if not found or (found[-1].first, found[-1].control) != (chosen.first, chosen.control):
                found.append(chosen)
        return found

    def improvement(self, row: Row, other: Row) -> Improvement | None:
        """How much better the row is than the other by the score, the pair taken alone; None: not comparable."""
        at = self._index[row], self._index[other]
        if not self._pairs.comparable[at]:
            return None
        return Improvement(*self._pairs.of(*at))

    def _choose(self, rows: Sequence[Row], limit: float) -> Choice:
        best_first = sorted(rows, key=lambda row: -self._of(row))
        at = [self._index[row] for row in best_first]
        pairs = self._pairs.mapped(lambda part: part[np.ix_(at, at)])
        beaten = np.asarray(pairs.beats.any(axis=0))
        first = [i for i in range(len(at)) if i == 0 or (pairs.comparable[0, i] and not beaten[i])]
        control = next((row for row in best_first if row.method in self._controls), None)
        return Choice(limit, tuple(best_first[i] for i in first), control, len(rows))

    def _of(self, row: Row) -> float:
        """Its score; more is better."""
        return self._value[self._index[row]]
