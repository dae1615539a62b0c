"""The least of a compression that meets the limits of an operating point, with few weighings."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import accumulate


def fewest(costs: Sequence[int], excess: Callable[[int], float]) -> int:
    """The smallest count from 0 to len(costs) with excess(count) <= 0; excess must not grow with the count.

    Bytes and FLOPs fall nearly in a line with the cost of what left, so a line through the ends of the bracket
    predicts the count; where it keeps missing to one side the step over it doubles. About six calls, where bisection
    takes a dozen of a second each.
    """
    if excess(0) <= 0:
        return 0
    total = [0, *accumulate(costs)]
    low, high = 0, len(costs)
    excess(high)
    beyond, last_met = 0, None
    while high - low > 1:
        share = excess(low) / (excess(low) - excess(high))
        probe = bisect_left(total, total[low] + share * (total[high] - total[low]))
        probe = min(max(probe + (-beyond if last_met else beyond), low + 1), high - 1)
        met = excess(probe) <= 0
        beyond = max(1, 2 * beyond) if met == last_met else 0
        last_met = met
        low, high = (low, probe) if met else (probe, high)
    return high
