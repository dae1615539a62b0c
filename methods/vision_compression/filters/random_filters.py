"""Control: any filters go."""

from dataclasses import dataclass

import torch
from torch import nn

from bench.contract import Card, Method
from methods.vision_compression.filters._static import pruned, unmet
from suites.vision_compression.task import CompressionTask


@dataclass(frozen=True)
class RandomFilters(Method[CompressionTask]):
    """Of every convolution that no residual hangs on filters that are drawn at random go, the same share everywhere;
    the smaller net is trained.

    rate: of the training, the largest of the schedule.
    """

    card = Card(
        slug="random-filters",
        title="Random filters",
        paper="Control: filters drawn at random",
        control=True,
        stochastic=True,
        notes="Channels of the residual stream stay.",
    )

    rate: float = 1e-3

    def supports(self, task: CompressionTask) -> str | None:
        return unmet(task)

    def build(self, task: CompressionTask) -> nn.Module:
        generator = torch.Generator().manual_seed(task.seed)
        return pruned(task, lambda weight: torch.rand(len(weight), generator=generator), self.rate)
