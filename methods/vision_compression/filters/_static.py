"""Filters that are taken out for good: the same share of each group, trained afterwards."""

from collections.abc import Callable

from torch import Tensor, nn

from methods.vision_compression._folding import folded
from methods.vision_compression._limits import largest_share
from methods.vision_compression._recovery import recover
from methods.vision_compression.filters._groups import count_at, cut, filters, first, none_there
from suites.vision_compression.task import CompressionTask


def pruned(task: CompressionTask, scores: Callable[[Tensor], Tensor], rate: float) -> nn.Module:
    """scores: of filters (filters, inputs, size, size), the lowest of which go."""
    share = largest_share(task, lambda each: folded(cut(task.model, first(task.model, each))))
    kept = {
        name: scores(each).topk(count_at(len(each), share)).indices.sort().values
        for name, each in filters(task.model).items()
    }
    model = cut(task.model, kept)
    recover(task, model, rate)
    return folded(model)


def unmet(task: CompressionTask) -> str | None:
    """Why filters can't go, or not enough of them, or None."""
    if reason := none_there(task):
        return reason
    return task.still_over(folded(cut(task.model, first(task.model, 0.0))), "one filter left of each group")
