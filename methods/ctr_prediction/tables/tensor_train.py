"""Control: tables as tensor trains (TT-Rec, Yin et al., 2021), https://arxiv.org/abs/2101.11714."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from bench.contract import Card, Method
from methods.ctr_prediction._parts import copied, largest_share, tables
from methods.ctr_prediction._recovery import recover
from methods.ctr_prediction._thin import hollow_layers, truncated_layers
from suites.ctr_prediction.task import ClickTask

Cores = tuple[Tensor, Tensor, Tensor]
"""(n1, d1, rank), (n2, rank, d2 rank), (n3, rank, d3)."""


class TrainTable(nn.Module):
    """A table of n1 n2 n3 entries and d1 d2 d3 columns as a train of three cores. ids (...) -> (..., width)."""

    def __init__(self, cores: Cores) -> None:
        super().__init__()
        self.first, self.middle, self.last = (nn.Parameter(each.float().contiguous()) for each in cores)

    def forward(self, ids: Tensor) -> Tensor:
        if not self.training:
            return self._vectors(ids.flatten()).view(*ids.shape, -1)
        distinct, place = ids.unique(return_inverse=True)  # a batch says the same word often
        return self._vectors(distinct)[place]

    def _vectors(self, ids: Tensor) -> Tensor:
        rank, (n2, n3) = self.first.shape[2], (len(self.middle), len(self.last))
        one = self.first[ids // (n2 * n3)]
        two = one @ self.middle[ids // n3 % n2]
        three = two.reshape(len(ids), -1, rank) @ self.last[ids % n3]
        return three.flatten(1)


@dataclass(frozen=True)
class TensorTrain(Method[ClickTask]):
    """Each table becomes a train of three cores by repeated truncated SVDs (Oseledets, 2011). Layers of the perceptron
    are factored by their singular values, at the same share of their numbers. Then all is trained on.

    whole_first: whether the first layer stays whole. rate: of the training, the largest of the schedule.
    """

    card = Card(
        slug="tensor-train",
        title="Tensor-train tables",
        paper="Control: Yin et al., 2021. TT-Rec: Tensor Train Compression for Deep Learning Recommendation Models",
        url="https://arxiv.org/abs/2101.11714",
        control=True,
        stochastic=True,
        differences=(
            "It starts from the trained tables, where TT-Rec trains from random cores; there is no cache of vectors.",
            "The decomposition is our own code, not a library's.",
        ),
        notes="What is no table is factored as by svd.",
    )
    at_point: ClassVar = {"size-10": {"whole_first": False}}

    whole_first: bool = True
    rate: float = 3e-3

    def supports(self, task: ClickTask) -> str | None:
        return task.still_over(self._hollow(task, 0.0), "every table and every thin layer at rank 1")

    def build(self, task: ClickTask) -> nn.Module:
        share = largest_share(task, lambda share: self._hollow(task, share))
        trains: dict[str, nn.Module] = {
            name: TrainTable(decomposed(each.weight, rank_at(each.weight, share)))
            for name, each in tables(task.model).items()
        }
        model = copied(task.model, trains | dict(truncated_layers(task.model, share, self.whole_first)))
        recover(task, model, self.rate)
        return model

    def _hollow(self, task: ClickTask, share: float) -> nn.Module:
        trains: dict[str, nn.Module] = {
            name: TrainTable(hollow_cores(each.weight, rank_at(each.weight, share)))
            for name, each in tables(task.model).items()
        }
        return copied(task.model, trains | dict(hollow_layers(task.model, share, self.whole_first)))


def sides(weight: Tensor) -> tuple[Sequence[int], Sequence[int]]:
    """Three factors each of the entries (rounded up) and of the width, as even as they come."""
    entries, width = weight.shape
    side = next(each for each in range(1, entries + 1) if each**3 >= entries)
    last = -(-entries // (side * side))
    d1 = max(each for each in range(1, width + 1) if width % each == 0 and each**2 <= width)
    rest = width // d1
    d2 = max(each for each in range(1, rest + 1) if rest % each == 0 and each**2 <= rest)
    return (side, side, last), (d1, rest // d2, d2)


def size_of(weight: Tensor, rank: int) -> int:
    (n1, n2, n3), (d1, d2, d3) = sides(weight)
    return n1 * d1 * rank + n2 * d2 * rank * rank + n3 * d3 * rank


def rank_at(weight: Tensor, share: float) -> int:
    """The largest at which the cores hold no more than that share of the numbers; one at the least."""
    (n1, _, n3), (d1, _, d3) = sides(weight)
    most = min(n1 * d1, n3 * d3)
    return max([each for each in range(1, most + 1) if size_of(weight, each) <= share * weight.numel()], default=1)


def hollow_cores(weight: Tensor, rank: int) -> Cores:
    (n1, n2, n3), (d1, d2, d3) = sides(weight)
    return torch.zeros(n1, d1, rank), torch.zeros(n2, rank, d2 * rank), torch.zeros(n3, rank, d3)


@torch.no_grad()
def decomposed(weight: Tensor, rank: int) -> Cores:
    """TT-SVD of a table (entries, width), filled up with zeros; rank: at most, of both bonds."""
    (n1, n2, n3), (d1, d2, d3) = sides(weight)
    filled = nn.functional.pad(weight.double(), (0, 0, 0, n1 * n2 * n3 - len(weight)))
    tensor = filled.view(n1, n2, n3, d1, d2, d3).permute(0, 3, 1, 4, 2, 5)
    left, rest = _cut(tensor.reshape(n1 * d1, -1), rank)
    middle, last = _cut(rest.reshape(rank * n2 * d2, -1), rank)
    return (
        left.view(n1, d1, rank),
        middle.view(rank, n2, d2, rank).transpose(0, 1).reshape(n2, rank, d2 * rank),
        last.view(rank, n3, d3).transpose(0, 1),
    )


def _cut(matrix: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """The two factors of the nearest matrix of that rank; missing columns are zero."""
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    lack = max(0, rank - len(values))
    one, other = left[:, :rank], values[:rank, None] * right[:rank]
    return nn.functional.pad(one, (0, lack)), nn.functional.pad(other, (0, 0, 0, lack))
