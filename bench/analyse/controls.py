"""Controls: what anyone would try first. A method that does not beat them beyond the noise is shown so."""

from collections.abc import Collection, Sequence

import numpy as np

from bench.analyse.compare import MARGIN
from bench.analyse.pairs import pairwise
from bench.analyse.rows import Row
from bench.registry.metrics import Metric


def unbeaten(
    rows: Sequence[Row], controls: Collection[str], primary: Metric, costs: Sequence[Metric]
) -> dict[str, list[str]]:
    """For each row of a board that is no control (by name): the controls, given by their slugs, that it does not beat.

    It beats a control if it is surely better by the primary score (paired, item by item). Where the scores cannot be
    told apart it also beats it by being surely more than MARGIN better in one of the costs and surely worse in none.
    """
    score = pairwise(rows, primary)
    changes = [pairwise(rows, metric) for metric in costs]
    better = np.any([change.low > MARGIN for change in changes], axis=0)
    worse = np.any([change.high < -MARGIN for change in changes], axis=0)
    beats = (score.low > 0) | (~(score.high < 0) & score.comparable & better & ~worse)
    theirs = [j for j, row in enumerate(rows) if row.method in controls and row.ok]
    return {
        row.name: [rows[j].name for j in theirs if not beats[i, j]]
        for i, row in enumerate(rows)
        if row.ok and row.method not in controls
    }
