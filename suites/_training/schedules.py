"""The share of the learning rate that a step has: a linear rise, then a linear fall to zero."""

from collections.abc import Callable

WARM_UP = 0.1
"""Share of the training in which the rate rises."""

Schedule = Callable[[int, int, float], float]
"""(index of the step, steps, part of the training that is left, by its steps or its clock) -> share of the rate."""


def by_parts(index: int, steps: int, left: float) -> float:
    """The rise ends where WARM_UP of the training is over, within a step or not; the fall follows steps and clock."""
    return min(1.0, (index + 1) / steps / WARM_UP, left / (1 - WARM_UP))


def by_steps(warm_up: float = WARM_UP) -> Schedule:
    """The rise takes whole steps, one at the least."""

    def share(index: int, steps: int, left: float) -> float:
        ramp = max(1, round(warm_up * steps))
        return min((index + 1) / ramp, (steps - index) / max(1, steps - ramp))

    return share
