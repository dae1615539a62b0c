"""Ranks with uncertainty: what cannot be told apart is a tie."""

from collections.abc import Collection, Sequence

from bench.analyse.pairs import pairwise
from bench.analyse.rows import Row
from bench.registry.metrics import Metric


def ranks(
    rows: Sequence[Row], metric: Metric, stochastic: Collection[str] = (), at_bottom: Collection[str] = ()
) -> dict[str, tuple[int, int]]:
    """Best and worst rank of each row (by name) that has the metric, among the rows of one board.

    A row ranks before another only if they are surely apart, all pairs of the board taken together (Holm): of boards of
    equal rows at most one in twenty shows any order. After Mogstad, Romano, Shaikh and Wilhelm (2024).
    at_bottom: names of rows that are no better than guessing; they share what the others leave, the last ranks.
    """
    upper = [row for row in rows if row.ok and row.name not in at_bottom]
    pairs = pairwise(upper, metric, stochastic)
    ranked = [i for i in range(len(upper)) if pairs.comparable[i, i]]
    beats = pairs.beats
    better, worse = beats.sum(axis=0), beats.sum(axis=1)
    first = {upper[i].name: (1 + int(better[i]), len(ranked) - int(worse[i])) for i in ranked}
    last = [row.name for row in rows if row.ok and row.name in at_bottom and pairwise([row], metric).comparable[0, 0]]
    return first | dict.fromkeys(last, (len(ranked) + 1, len(ranked) + len(last)))
