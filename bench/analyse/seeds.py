"""How much seeds differ, told from few: what the rows of a board have in common steadies what each shows alone.

Three seeds say little of their own spread, and of many rows some will show hardly any by chance. So each variance is
drawn towards the board's: a scaled inverse chi-square prior is fitted to the variances of all rows, and each row's own
is weighed against it by degrees of freedom (empirical Bayes, Smyth, 2004). Rows that differ widely make a weak prior.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

Matrix = NDArray[np.float64]

FEWEST = 3
"""Variances below which they tell nothing of each other."""


@dataclass(frozen=True)
class Prior:
    """What is known of a variance before it is looked at: its size, and the degrees of freedom that this is worth; and
    the largest that was seen."""

    variance: float = 0.0
    freedom: float = 0.0
    largest: float = 0.0

    def steadied(self, variance: Matrix, freedom: float) -> tuple[Matrix, float]:
        """Variances, each estimated with so many degrees of freedom, drawn towards the prior; and their new freedom."""
        total = self.freedom + freedom
        if not total:
            return np.zeros_like(variance), 0.0
        return (self.freedom * self.variance + freedom * variance) / total, total


NOTHING = Prior()


def fitted(variances: Matrix, freedom: float, rows: int) -> Prior:
    """The prior of variances with the same degrees of freedom each. rows: how many independent rows they come from:
    together they are worth no more than these have. A variance of 0 is of what does not hang on its seed at all, and
    tells nothing of the others."""
    positive = variances[variances > 0]
    if len(positive) < FEWEST or freedom < 1:
        return NOTHING
    logs = np.log(positive) - special.digamma(freedom / 2) + math.log(freedom / 2)
    excess = float(logs.var(ddof=1) - special.polygamma(1, freedom / 2))
    most = rows * freedom
    own = min(most, 2 * _inverse_trigamma(excess)) if excess > 0 else most
    size = math.exp(float(logs.mean()) + float(special.digamma(own / 2)) - math.log(own / 2))
    return Prior(size, own, float(positive.max()))


def _inverse_trigamma(value: float) -> float:
    def gap(log: float) -> float:
        return float(special.polygamma(1, math.exp(log))) - value

    if gap(-10) < 0 or gap(20) > 0:
        return math.exp(-10) if gap(-10) < 0 else math.exp(20)
    return math.exp(float(optimize.brentq(gap, -10, 20)))
