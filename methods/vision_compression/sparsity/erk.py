"""Control: ERK, the densities of Erdos-Renyi-Kernel (Evci et al., 2019), https://arxiv.org/abs/1911.11134."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from bench.contract import Card, Method
from methods.vision_compression.sparsity._sparse import Counts, by_magnitude, prune, unmet
from suites.vision_compression.task import CompressionTask


@dataclass(frozen=True)
class Erk(Method[CompressionTask]):
    """A layer keeps a share that goes with the sum of its sides over their product, so that small layers stay dense; of
    each the smallest weights go. What is left is trained.

    rate: of the training afterwards, the largest of the schedule.
    """

    card = Card(
        slug="erk",
        title="ERK",
        paper="Control: Evci et al., 2019. Rigging the Lottery: Making All Tickets Winners (its densities)",
        url="https://arxiv.org/abs/1911.11134",
        control=True,
        stochastic=True,
        speed_realised=False,
        notes="Trained afterwards as all that are pruned here; zeros are stored as a bitmap.",
    )

    rate: float = 1e-3

    def supports(self, task: CompressionTask) -> str | None:
        return unmet(task)

    def build(self, task: CompressionTask) -> nn.Module:
        return prune(task, by_magnitude(by_sides), self.rate)


def by_sides(weights: Mapping[str, Tensor], left: int) -> Counts:
    """Whole layers where the share would be above 1, and the rest among the others."""
    counts: dict[str, int] = {}
    rest = dict(weights)
    while rest:
        room = left - sum(counts.values())
        unit = room / sum(sum(each.shape) for each in rest.values())
        full = [name for name, each in rest.items() if unit * sum(each.shape) >= each.numel()]
        if not full:
            return counts | {name: int(unit * sum(each.shape)) for name, each in rest.items()}
        for name in full:
            counts[name] = rest.pop(name).numel()
    return counts
