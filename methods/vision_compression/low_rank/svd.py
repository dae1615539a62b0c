"""Control: the nearest matrix of low rank (Eckart and Young, 1936)."""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from bench.contract import Card, Method
from methods.vision_compression._folding import folded
from methods.vision_compression._layers import layers
from methods.vision_compression._recovery import recover
from methods.vision_compression.low_rank._ranks import factored, fitting_share, unmet
from suites.vision_compression.task import CompressionTask


@dataclass(frozen=True)
class SVD(Method[CompressionTask]):
    """Every convolution and linear layer but the first and the head becomes two thin ones by its singular values, all
    at the same share of their numbers.

    tuned: whether it is trained afterwards. rate: of that, the largest of the schedule.
    """

    card = Card(
        slug="svd",
        title="Truncated SVD",
        paper="Control: Eckart and Young, 1936. The approximation of one matrix by another of lower rank",
        control=True,
        stochastic=True,
        notes="A convolution becomes one of fewer filters and one of a pixel.",
    )
    variants: ClassVar = {"default": {}, "tuned": {"tuned": True}}

    tuned: bool = False
    rate: float = 1e-3

    def supports(self, task: CompressionTask) -> str | None:
        return unmet(task, inner(task.model))

    def build(self, task: CompressionTask) -> nn.Module:
        names = inner(task.model)
        model = factored(task.model, names, fitting_share(task, names))
        if self.tuned:
            recover(task, model, self.rate)
        return folded(model)


def inner(model: nn.Module) -> list[str]:
    """All layers but the first and the last."""
    return list(layers(model))[1:-1]
