"""Control: the smallest weights go, wherever they stand (Han et al., 2015), https://arxiv.org/abs/1506.02626."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding
from torch.nn.utils import parametrize

from bench.contract import Card, Method
from methods._techniques.masked_training import Masked, merge
from methods._techniques.packed_sparse import SparseLinear, pack_bits, unpack_bits
from methods.ctr_prediction._parts import copied, every_table, largest_share, layers
from methods.ctr_prediction._recovery import recover
from suites.ctr_prediction.task import ClickTask


class SparseTable(nn.Module):
    """A table that stores a bitmap and the surviving weights; unpacked for each call. ids (...) -> (..., width)."""

    bitmap: Tensor
    values: Tensor

    def __init__(self, weight: Tensor, kept: Tensor) -> None:
        """weight: (entries, width). kept: bool, of that shape."""
        super().__init__()
        self.entries, self.width = weight.shape
        self.register_buffer("bitmap", pack_bits(kept))
        self.register_buffer("values", weight.detach()[kept])

    def forward(self, ids: Tensor) -> Tensor:
        found = self.values.new_zeros(self.entries * self.width)
        found.masked_scatter_(unpack_bits(self.bitmap, len(found)), self.values)
        return embedding(ids, found.view(self.entries, self.width))


@dataclass(frozen=True)
class Magnitude(Method[ClickTask]):
    """The smallest weights of all tables and layers together go; what is left is trained on, and stored beside a bit a
    weight that says where it stands.

    rate: of the training, the largest of the schedule.
    """

    card = Card(
        slug="magnitude",
        title="Magnitude pruning",
        paper="Control: Han et al., 2015. Learning both Weights and Connections for Efficient Neural Networks",
        url="https://arxiv.org/abs/1506.02626",
        control=True,
        stochastic=True,
        speed_realised=False,
        notes="At once, not in rounds. First-order weights are pruned too. Matrices are unpacked for each call.",
    )

    rate: float = 1e-2

    def supports(self, task: ClickTask) -> str | None:
        return task.still_over(packed(task.model, largest(task.model, 0.0)), "next to no weight left")

    def build(self, task: ClickTask) -> nn.Module:
        share = largest_share(task, lambda share: packed(task.model, largest(task.model, share)))
        masks = largest(task.model, share)
        model = copied(task.model)
        for name, kept in masks.items():
            parametrize.register_parametrization(model.get_submodule(name), "weight", Masked(kept))
        recover(task, model, self.rate)
        merge(model)
        return packed(model, masks)


def pruned(model: nn.Module) -> dict[str, Tensor]:
    """Weights of large tables and of layers, by the name of their module."""
    return {name: each.weight.detach() for name, each in {**every_table(model), **layers(model)}.items()}


def largest(model: nn.Module, share: float) -> Mapping[str, Tensor]:
    """Bool masks of that share of all weights, the largest; one at the least."""
    weights = pruned(model)
    sizes = torch.cat([each.abs().flatten() for each in weights.values()])
    kept = torch.zeros(len(sizes), dtype=torch.bool, device=sizes.device)
    kept[sizes.topk(max(1, int(share * len(sizes)))).indices] = True
    parts = kept.split([each.numel() for each in weights.values()])
    return {name: part.view(each.shape) for (name, each), part in zip(weights.items(), parts, strict=True)}


def packed(model: nn.Module, masks: Mapping[str, Tensor]) -> nn.Module:
    """A copy that stores the survivors alone."""
    found: dict[str, nn.Module] = {}
    for name, kept in masks.items():
        part = model.get_submodule(name)
        if isinstance(part, nn.Linear):
            found[name] = SparseLinear(part.weight, kept, part.bias)
        else:
            assert isinstance(part, nn.Embedding)
            found[name] = SparseTable(part.weight, kept)
    return copied(model, found).requires_grad_(False)
