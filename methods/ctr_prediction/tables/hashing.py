"""Control: the hashing trick (Weinberger et al., 2009), https://arxiv.org/abs/0902.2206."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from bench.contract import Card, Method
from methods.ctr_prediction._parts import copied, every_table, largest_share
from methods.ctr_prediction._recovery import recover
from methods.ctr_prediction._thin import hollow_layers, truncated_layers
from suites.ctr_prediction.task import ClickTask

PRIME = 2**31 - 1


class Hashed(nn.Module):
    """A table of few entries, of which ids share one by chance: (a id + b) mod PRIME mod entries."""

    def __init__(self, held: Tensor, a: int, b: int) -> None:
        """held: (entries, width)."""
        super().__init__()
        self.a, self.b = a, b
        self.table = nn.Embedding.from_pretrained(held, freeze=False)

    def places(self, ids: Tensor) -> Tensor:
        return (self.a * ids + self.b) % PRIME % self.table.num_embeddings

    def forward(self, ids: Tensor) -> Tensor:
        vectors: Tensor = self.table(self.places(ids))
        return vectors


@dataclass(frozen=True)
class Hashing(Method[ClickTask]):
    """Ids of a field share the entries of a smaller table by a random hash; an entry begins as the mean of those that
    share it. Layers of the perceptron are factored by their singular values, at the same share of their numbers. Then
    all is trained on.

    whole_first: whether the first layer stays whole. rate: of the training, the largest of the schedule.
    """

    card = Card(
        slug="hashing",
        title="Hashed tables",
        paper="Control: Weinberger et al., 2009. Feature Hashing for Large Scale Multitask Learning",
        url="https://arxiv.org/abs/0902.2206",
        control=True,
        stochastic=True,
        notes="First-order weights are hashed too; what is no table is factored as by svd.",
    )
    at_point: ClassVar = {"size-10": {"whole_first": False}}

    whole_first: bool = True
    rate: float = 1e-2

    def supports(self, task: ClickTask) -> str | None:
        return task.still_over(self._hollow(task, 0.0), "one entry a table and every thin layer at rank 1")

    def build(self, task: ClickTask) -> nn.Module:
        share = largest_share(task, lambda share: self._hollow(task, share))
        hashes = drawn_hashes(task)
        replaced: dict[str, nn.Module] = {
            name: shared(each, entries(each, share), *hashes[name.rpartition(".")[2]])
            for name, each in every_table(task.model).items()
        }
        model = copied(task.model, replaced | dict(truncated_layers(task.model, share, self.whole_first)))
        recover(task, model, self.rate)
        return model

    def _hollow(self, task: ClickTask, share: float) -> nn.Module:
        hashes = drawn_hashes(task)  # of equal numbers in all tables the artefact would be smaller: it is compressed
        replaced: dict[str, nn.Module] = {
            name: Hashed(torch.zeros(entries(each, share), each.embedding_dim), *hashes[name.rpartition(".")[2]])
            for name, each in every_table(task.model).items()
        }
        return copied(task.model, replaced | dict(hollow_layers(task.model, share, self.whole_first)))


def drawn_hashes(task: ClickTask) -> dict[str, tuple[int, int]]:
    """By field, from the seed. Both tables of a field, vectors and first-order weights, have the same hash."""
    rng = np.random.default_rng([task.seed, 0x4A54])
    return {each.name: (int(rng.integers(1, PRIME)), int(rng.integers(PRIME))) for each in task.fields}


def entries(table: nn.Embedding, share: float) -> int:
    return max(1, int(share * table.num_embeddings))


def shared(table: nn.Embedding, count: int, a: int, b: int) -> Hashed:
    """The table in `count` entries, each the mean of those that share it."""
    found = Hashed(table.weight.new_zeros(count, table.embedding_dim), a, b)
    places = found.places(torch.arange(table.num_embeddings, device=table.weight.device))
    sums = table.weight.new_zeros(count, table.embedding_dim).index_add_(0, places, table.weight.detach())
    owners = places.bincount(minlength=count).clamp(min=1)
    found.table.weight.data.copy_(sums / owners[:, None])
    return found
