"""The search for a learning rate."""

import math
from collections.abc import Callable, Sequence

from suites._training.learner import BatchT, Learner
from suites._training.loop import train, validation_loss
from suites._training.trainer import Trainer

BEYOND = 2
"""How many more may be tried beyond either end of a list whose best is at its end, so that nobody's list decides."""


def best_rate(rates: Sequence[float], loss: Callable[[float], float]) -> float:
    """The rate that leaves the least loss. One that diverges, with an infinite loss, is out; raises ValueError if all
    do.

    rates: tried first, in ascending order; a single one is taken as it is. While the best is the first or the last, the
    list goes on beyond it with the same step, at most BEYOND times on each side.
    """
    if len(rates) == 1:
        return rates[0]
    found = {rate: loss(rate) for rate in rates}
    for last, inner in ((rates[0], rates[1]), (rates[-1], rates[-2])):
        end, step = last, last / inner
        for _ in range(BEYOND):
            too_much = step > 1 and found[end] == math.inf
            if too_much or found[end] > min(found.values()):
                break
            end = _rounded(end * step)
            found[end] = loss(end)
    best = min(found, key=found.__getitem__)
    if found[best] == math.inf:
        raise ValueError(f"the training diverges at every learning rate of {', '.join(map(str, found))}")
    return best


def loss_after(
    learner: Learner[BatchT],
    batches: Sequence[BatchT],
    rate: float,
    validation: Sequence[BatchT],
    rows: int | None = None,
) -> float:
    """What a short training leaves: the loss over the validation batches, infinite where it diverges."""
    try:
        train(Trainer(learner, rows), batches, rate)
    except FloatingPointError:
        return math.inf
    return validation_loss(learner, validation)


def _rounded(rate: float) -> float:
    """To two digits: rates are written so."""
    return float(f"{rate:.1e}")
