"""Control: filters with the least sum of magnitudes go (Li et al., 2016), https://arxiv.org/abs/1608.08710."""

from dataclasses import dataclass

from torch import Tensor, nn

from bench.contract import Card, Method
from methods.vision_compression.filters._static import pruned, unmet
from suites.vision_compression.task import CompressionTask


@dataclass(frozen=True)
class L1Filters(Method[CompressionTask]):
    """Of every convolution that no residual hangs on the filters with the least L1 norm go, the same share everywhere;
    the smaller net is trained.

    rate: of the training, the largest of the schedule.
    """

    card = Card(
        slug="l1-filters",
        title="L1 filters",
        paper="Control: Li et al., 2016. Pruning Filters for Efficient ConvNets",
        url="https://arxiv.org/abs/1608.08710",
        control=True,
        stochastic=True,
        notes="Channels of the residual stream stay.",
    )

    rate: float = 1e-3

    def supports(self, task: CompressionTask) -> str | None:
        return unmet(task)

    def build(self, task: CompressionTask) -> nn.Module:
        return pruned(task, l1_norms, self.rate)


def l1_norms(weight: Tensor) -> Tensor:
    """Of each filter."""
    return weight.abs().flatten(1).sum(1)
