"""Control: the smallest weights go, wherever they stand."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from bench.contract import Card, Method
from methods.vision_compression.sparsity._sparse import Counts, by_magnitude, highest_anywhere, prune, unmet
from suites.vision_compression.task import CompressionTask


@dataclass(frozen=True)
class GlobalMagnitude(Method[CompressionTask]):
    """The smallest weights of the whole net go; what is left is trained.

    rate: of the training afterwards, the largest of the schedule.
    """

    card = Card(
        slug="global-magnitude",
        title="Global magnitude",
        paper="Control: the smallest weights of the whole net",
        control=True,
        stochastic=True,
        speed_realised=False,
        notes="Trained afterwards as all that are pruned here; zeros are stored as a bitmap.",
    )

    rate: float = 1e-3

    def supports(self, task: CompressionTask) -> str | None:
        return unmet(task)

    def build(self, task: CompressionTask) -> nn.Module:
        return prune(task, by_magnitude(smallest_anywhere), self.rate)


def smallest_anywhere(weights: Mapping[str, Tensor], left: int) -> Counts:
    """How many of each layer are among the `left` largest."""
    return highest_anywhere({name: each.abs() for name, each in weights.items()}, left)
