"""The most of something that the limits of an operating point leave."""

from collections.abc import Callable

from torch import nn

from suites.vision_compression.task import CompressionTask

HALVINGS = 9


def largest_share(task: CompressionTask, make: Callable[[float], nn.Module]) -> float:
    """The largest share from 0 to 1 whose candidate meets the limits, to one in 2 ** HALVINGS; 0 is taken to meet them,
    and costs must not fall with the share. Candidates are weighed alone: they may hold any numbers."""
    if task.limits.met_by(task.weigh(make(1.0))):
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if task.limits.met_by(task.weigh(make(middle))):
            low = middle
        else:
            high = middle
    return low
