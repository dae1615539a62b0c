"""The two networks: DeepFM (Guo et al., 2017) and DCN (Wang et al., 2017)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from suites.ctr_prediction.fields import Field, places

DROPOUT = 0.2
SMALL = 0.01
"""Standard deviation of what tables hold at first."""


class Tables(nn.Module):
    """A table for each field, by its name: a module that is given ids (...) and gives vectors (..., width). The vectors
    of a bag are averaged."""

    def __init__(self, fields: Sequence[Field], width: int) -> None:
        super().__init__()
        self.fields, self.places = tuple(fields), places(fields)
        self.by_field = nn.ModuleDict({each.name: nn.Embedding(each.size, width) for each in fields})
        for table in self.by_field.values():
            nn.init.normal_(table.weight, std=SMALL)

    def forward(self, ids: Tensor) -> Tensor:
        """ids: (n, slots) int64 -> (n, fields, width)."""
        found = []
        for field, place in zip(self.fields, self.places, strict=True):
            table = self.by_field[field.name]
            found.append(table(ids[:, place.start]) if field.slots == 1 else averaged(table, ids[:, place]))
        return torch.stack(found, 1)


def averaged(table: nn.Module, ids: Tensor) -> Tensor:
    """ids: (n, slots) -> (n, width): the mean over the slots that hold something, zero where none does."""
    there = (ids > 0).unsqueeze(-1)
    vectors = table(ids)
    total: Tensor = (vectors * there).sum(1) / there.sum(1).clamp(min=1)
    return total


def perceptron(inputs: int, widths: Sequence[int]) -> nn.Sequential:
    """Layer, ReLU, dropout, for each width."""
    steps: list[nn.Module] = []
    for before, width in zip([inputs, *widths], widths, strict=False):
        steps += [nn.Linear(before, width), nn.ReLU(), nn.Dropout(DROPOUT)]
    return nn.Sequential(*steps)


class DeepFM(nn.Module):
    """First-order weights, a factorisation machine and a perceptron over the same vectors. ids (n, slots) int64 ->
    logits (n,)."""

    def __init__(self, fields: Sequence[Field], width: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.first = Tables(fields, 1)
        self.tables = Tables(fields, width)
        self.mlp = perceptron(len(fields) * width, hidden)
        self.head = nn.Linear(hidden[-1], 1)

    def forward(self, ids: Tensor) -> Tensor:
        vectors = self.tables(ids)
        pairs = (vectors.sum(1).square() - vectors.square().sum(1)).sum(-1) / 2
        deep: Tensor = self.head(self.mlp(vectors.flatten(1))).squeeze(-1)
        return self.first(ids).sum((1, 2)) + pairs + deep


class Cross(nn.Module):
    """x -> x0 (w x) + b + x, once."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Linear(width, 1, bias=False)
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, start: Tensor, x: Tensor) -> Tensor:
        product: Tensor = start * self.weight(x) + self.bias + x
        return product


class DCN(nn.Module):
    """A cross network and a perceptron side by side over the same vectors. ids (n, slots) int64 -> logits (n,)."""

    def __init__(self, fields: Sequence[Field], width: int, hidden: Sequence[int], crosses: int = 3) -> None:
        super().__init__()
        self.tables = Tables(fields, width)
        self.crosses = nn.ModuleList(Cross(len(fields) * width) for _ in range(crosses))
        self.mlp = perceptron(len(fields) * width, hidden)
        self.head = nn.Linear(len(fields) * width + hidden[-1], 1)

    def forward(self, ids: Tensor) -> Tensor:
        start = self.tables(ids).flatten(1)
        x = start
        for cross in self.crosses:
            x = cross(start, x)
        logits: Tensor = self.head(torch.cat([x, self.mlp(start)], 1)).squeeze(-1)
        return logits


def network(kind: str, fields: Sequence[Field], width: int, hidden: Sequence[int]) -> nn.Module:
    """kind: deepfm or dcn. width: of a vector. hidden: widths of the perceptron's layers."""
    return (DeepFM if kind == "deepfm" else DCN)(fields, width, hidden)
