"""Control: the smallest weights of each layer go, the same share everywhere."""

from dataclasses import dataclass

from torch import nn

from bench.contract import Card, Method
from methods.vision_compression.sparsity._sparse import by_magnitude, prune, uniform, unmet
from suites.vision_compression.task import CompressionTask


@dataclass(frozen=True)
class UniformMagnitude(Method[CompressionTask]):
    """The smallest weights of each layer go, the same share everywhere; what is left is trained.

    rate: of the training afterwards, the largest of the schedule.
    """

    card = Card(
        slug="uniform-magnitude",
        title="Uniform magnitude",
        paper="Control: the smallest weights of each layer, the same share everywhere",
        control=True,
        stochastic=True,
        speed_realised=False,
        notes="Trained afterwards as all that are pruned here; zeros are stored as a bitmap.",
    )

    rate: float = 1e-3

    def supports(self, task: CompressionTask) -> str | None:
        return unmet(task)

    def build(self, task: CompressionTask) -> nn.Module:
        return prune(task, by_magnitude(uniform), self.rate)
