"""Control: LAMP (Lee et al., 2020), https://arxiv.org/abs/2010.07611."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from bench.contract import Card, Method
from methods.vision_compression.sparsity._sparse import Counts, by_magnitude, highest_anywhere, prune, unmet
from suites.vision_compression.task import CompressionTask


@dataclass(frozen=True)
class Lamp(Method[CompressionTask]):
    """The lowest scores of the whole net go, where a score is a squared weight over the sum of those of its layer that
    are not smaller; what is left is trained.

    rate: of the training afterwards, the largest of the schedule.
    """

    card = Card(
        slug="lamp",
        title="LAMP",
        paper="Control: Lee et al., 2020. Layer-adaptive Sparsity for the Magnitude-based Pruning",
        url="https://arxiv.org/abs/2010.07611",
        control=True,
        stochastic=True,
        speed_realised=False,
        notes="Trained afterwards as all that are pruned here; zeros are stored as a bitmap.",
    )

    rate: float = 1e-3

    def supports(self, task: CompressionTask) -> str | None:
        return unmet(task)

    def build(self, task: CompressionTask) -> nn.Module:
        return prune(task, by_magnitude(lowest_scores), self.rate)


def scores(weight: Tensor) -> Tensor:
    """Of the weights in descending order of magnitude: (count,). The largest has 1."""
    squares = weight.flatten().double().square().sort(descending=True).values
    return squares / squares.cumsum(0).clamp(min=1e-300)


def lowest_scores(weights: Mapping[str, Tensor], left: int) -> Counts:
    """How many of each layer are among the `left` highest scores."""
    return highest_anywhere({name: scores(each) for name, each in weights.items()}, left)
