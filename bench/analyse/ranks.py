"""Ranks with uncertainty: what cannot be told apart is a tie."""

from collections.abc import Sequence

from bench.analyse.compare import improvement
from bench.analyse.rows import Row
from bench.contract import Metric
from bench.measure.statistics import ranks_from


def ranks(rows: Sequence[Row], metric: Metric) -> dict[str, tuple[int, int]]:
    """Best and worst rank of each row (by name) that has the metric, among the rows of one board.

    A row ranks before another only if the interval of their paired comparison lies wholly on its side.
    """
    ranked = [row for row in rows if row.ok and improvement(row, row, metric) is not None]

    def beats(i: int, j: int) -> bool:
        change = improvement(ranked[i], ranked[j], metric)
        return change is not None and change.low > 0

    return {row.name: rank for row, rank in zip(ranked, ranks_from(len(ranked), beats), strict=True)}
