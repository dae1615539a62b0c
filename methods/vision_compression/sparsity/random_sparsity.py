"""Control: any weights go."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from bench.contract import Card, Method
from methods.vision_compression._layers import layers
from methods.vision_compression.sparsity._sparse import prune, uniform, unmet
from suites.vision_compression.task import CompressionTask


@dataclass(frozen=True)
class RandomSparsity(Method[CompressionTask]):
    """Weights that are drawn at random go, the same share of each layer; what is left is trained.

    rate: of the training afterwards, the largest of the schedule.
    """

    card = Card(
        slug="random",
        title="Random weights",
        paper="Control: weights drawn at random",
        control=True,
        stochastic=True,
        speed_realised=False,
        notes="Trained afterwards as all that are pruned here; zeros are stored as a bitmap.",
    )

    rate: float = 1e-3

    def supports(self, task: CompressionTask) -> str | None:
        return unmet(task)

    def build(self, task: CompressionTask) -> nn.Module:
        return prune(task, partial(drawn, torch.Generator().manual_seed(task.seed)), self.rate)


def drawn(generator: torch.Generator, model: nn.Module, left: int) -> Mapping[str, Tensor]:
    """Masks by layer."""
    weights = {name: each.weight.detach() for name, each in layers(model).items()}
    masks = {}
    for name, count in uniform(weights, left).items():
        mask = torch.zeros(weights[name].numel(), dtype=torch.bool)
        mask[torch.randperm(len(mask), generator=generator)[:count]] = True
        masks[name] = mask.view(weights[name].shape).to(weights[name].device)
    return masks
