"""Ranks with uncertainty: what cannot be told apart is a tie."""

from collections.abc import Sequence

from bench.analyse.pairs import pairwise
from bench.analyse.rows import Row
from bench.registry.metrics import Metric


def ranks(rows: Sequence[Row], metric: Metric) -> dict[str, tuple[int, int]]:
    """Best and worst rank of each row (by name) that has the metric, among the rows of one board.

    A row ranks before another only if they are surely apart, all pairs of the board taken together (Holm): of boards of
    equal rows at most one in twenty shows any order. After Mogstad, Romano, Shaikh and Wilhelm (2024).
    """
    pairs = pairwise(rows, metric)
    ranked = [i for i, row in enumerate(rows) if row.ok and pairs.comparable[i, i]]
    beats = pairs.beats
    better_than_it, worse_than_it = beats[ranked].sum(axis=0), beats[:, ranked].sum(axis=1)
    return {rows[i].name: (1 + int(better_than_it[i]), len(ranked) - int(worse_than_it[i])) for i in ranked}
