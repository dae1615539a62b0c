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
    found = pairwise(rows, metric, stochastic)
    having = [i for i, row in enumerate(rows) if row.ok and found.comparable[i, i]]
    last = [rows[i].name for i in having if rows[i].name in at_bottom]
    ranked = [rows[i] for i in having if rows[i].name not in at_bottom]
    beats = pairwise(ranked, metric, stochastic).beats
    better, worse = beats.sum(axis=0), beats.sum(axis=1)
    first = {row.name: (1 + int(better[i]), len(ranked) - int(worse[i])) for i, row in enumerate(ranked)}
    return first | dict.fromkeys(last, (len(ranked) + 1, len(having)))
