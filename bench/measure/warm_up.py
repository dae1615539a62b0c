"""How many leading times belong to warming up: caches, allocators, clocks and lazy initialisation."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_SIGMAS = 4.0
"""How far, in standard errors, the head must lie above the rest to be warm-up and not chance."""
_CLIP = 8.0
"""How many robust standard deviations count at most, so that a single interruption is no warm-up of a long head."""
_FLOOR = 0.005
"""Least standard deviation of log times that is believed: equal times would make anything significant."""


def warm_up(times: Sequence[float], most: int) -> int:
    """The number of leading times, at most `most`, that are slower than what follows; 0 if none is.

    The cut is where the standard error of the mean log time of the rest is smallest (MSER: White, An effective
    truncation heuristic for bias reduction in simulation output, Simulation 69, 1997), after clipping what lies far
    from the median of the second half, so that one interruption does not decide. The cut only counts if what it
    removes is slower than the rest by 4 standard errors: MSER alone cuts settled times at random.
    """
    n = len(times)
    if n < 2 or most < 1:
        return 0
    logs = np.log(np.asarray(times, dtype=np.float64))
    settled = logs[n // 2 :]
    centre = float(np.median(settled))
    spread = max(1.4826 * float(np.median(np.abs(settled - centre))), _FLOOR)
    clipped = np.clip(logs, centre - _CLIP * spread, centre + _CLIP * spread)
    cut = int(np.argmin(_squared_errors(clipped)[: most + 1]))
    if cut == 0:
        return 0
    gap = float(clipped[:cut].mean() - np.median(clipped[cut:]))
    return cut if gap > _SIGMAS * spread * np.sqrt(1 / cut + 1 / (n - cut)) else 0


def _squared_errors(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Squared standard error of the mean of values[d:], for each d up to half."""
    n = len(values)
    left = n - np.arange(n // 2 + 1)
    sums = np.cumsum(values[::-1])[::-1][: len(left)]
    squares = np.cumsum(values[::-1] ** 2)[::-1][: len(left)]
    errors: NDArray[np.float64] = (squares - sums**2 / left) / left**2
    return errors
