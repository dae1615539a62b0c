"""Quality of logits (n,). Intervals go by users, as rows of one user are not independent."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from bench.contract import Score, score_of_set
from suites.ctr_prediction.fields import Rows

Logits = NDArray[np.float32]


def auc_of(logits: NDArray[np.floating], clicks: NDArray[np.floating]) -> float:
    """Area under the curve: the share of pairs of a click and none that stand in the right order, ties half. Not a
    number where there is one kind alone."""
    ones = float(clicks.sum())
    zeros = len(clicks) - ones
    if not ones or not zeros:
        return float("nan")
    ranks = rankdata(logits)
    return float((ranks[clicks > 0].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def auc(logits: Logits, rows: Rows) -> Score:
    """Over all rows; users are dealt to the blocks."""
    _, group = np.unique(rows.groups, return_inverse=True)
    users = int(group.max()) + 1

    def statistic(chosen: NDArray[np.intp]) -> float:
        there = np.zeros(users, dtype=bool)
        there[chosen] = True
        taken = there[group]
        return auc_of(logits[taken], rows.clicks[taken])

    return score_of_set("auc", statistic, users)


def log_loss(logits: Logits, rows: Rows) -> Score:
    """Mean over rows of the negative log-likelihood of what happened, nats; a sample is a user's sum."""
    signed = np.where(rows.clicks > 0, logits, -logits).astype(np.float64)
    losses = np.logaddexp(0, -signed)
    _, group = np.unique(rows.groups, return_inverse=True)
    return Score("log_loss", np.bincount(group, losses).tolist(), np.bincount(group).astype(float).tolist())


def user_auc(logits: Logits, rows: Rows) -> Score:
    """Mean over users, by their rows, of the AUC of their own rows: the order in which each would see what is offered.
    Users who click all or nothing have none, and are left out."""
    order = np.argsort(rows.groups, kind="stable")
    starts = np.flatnonzero(np.diff(rows.groups[order], prepend=-1))
    values, weights = [], []
    for rows_of_user in np.split(order, starts[1:]):
        found = auc_of(logits[rows_of_user], rows.clicks[rows_of_user])
        if not np.isnan(found):
            values.append(found * len(rows_of_user))
            weights.append(float(len(rows_of_user)))
    return Score("user_auc", values, weights)
