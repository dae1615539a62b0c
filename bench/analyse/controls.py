"""Controls: what anyone would try first. A method that does not beat them beyond the noise is shown so."""

from collections.abc import Collection, Sequence

import numpy as np

from bench.analyse.pairs import pairwise
from bench.analyse.recovery import is_fair
from bench.analyse.rows import Row
from bench.registry.metrics import Metric


def unbeaten(
    rows: Sequence[Row],
    controls: Collection[str],
    primary: Metric,
    costs: Sequence[Metric],
    stochastic: Collection[str] = (),
    at_bottom: Collection[str] = (),
) -> dict[str, list[str]]:
    """For each row of a board that is no control (by name): the controls, given by their names, that it does not beat.

    It beats a control if it is surely better by the primary score (paired, item by item; all comparisons of the board
    with controls taken together, by Holm), or if it is no worse by the score's margin (the whole interval says so) and
    surely cheaper: better by more than the margin in one of the costs and surely worse in none. A cost that was not
    measured of both counts for neither.
    A method that was not trained need not beat a control that was (`recovery.is_fair`).
    at_bottom: names of rows that are no better than guessing: as a control such a row is none that has to be beaten.
    """
    score = pairwise(rows, primary, stochastic)
    theirs = [j for j, row in enumerate(rows) if row.method in controls and row.ok and row.name not in at_bottom]
    ours = [i for i, row in enumerate(rows) if row.method not in controls and row.ok]
    fair = {i: [j for j in theirs if is_fair(rows[i], rows[j])] for i in ours}
    against = np.zeros((len(rows), len(rows)), dtype=bool)
    for i, opponents in fair.items():
        against[i, opponents] = True
    better = score.told_apart(against) & (score.value > 0)
    changes = [(pairwise(rows, metric), metric.margin) for metric in costs]
    cheaper = np.any([change.low > margin for change, margin in changes], axis=0)
    dearer = np.any([change.high < -margin for change, margin in changes], axis=0)
    beats = better | ((score.low > -primary.margin) & cheaper & ~dearer)
    return {rows[i].name: [rows[j].name for j in fair[i] if not beats[i, j]] for i in ours}
