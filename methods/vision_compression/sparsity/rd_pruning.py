"""Efficient Joint Optimization of Layer-Adaptive Weight Pruning in Deep Neural Networks (Xu et al., 2023),
https://arxiv.org/abs/2308.10438."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.contract import Card, Claim, Method
from methods.vision_compression._layers import layers
from methods.vision_compression.sparsity._sparse import largest, prune, unmet
from suites.vision_compression.task import CompressionTask

FINE_FROM = 0.9
"""Amount from which on every hundredth is tried."""
BINS = 4_000
"""Parts of the budget that a layer's weights are counted in, rounded up."""


@dataclass(frozen=True)
class RDPruning(Method[CompressionTask]):
    """How much of each layer is pruned is decided for all together. Of each layer by itself the smallest weights are
    zeroed in many amounts, and the squared change of the logits is measured on calibration images. These changes add
    up, so the amounts with the smallest sum within the budget are a knapsack, which dynamic programming solves exactly.

    rounds: after each, what is left is trained; masks only grow. coarse: amounts up to 0.9, at equal distances. images:
    that the change is measured on. worst: its maximum over images, or its mean. rate: of the training.
    """

    card = Card(
        slug="rd-pruning",
        title="RD pruning",
        paper="Xu et al., 2023. Efficient Joint Optimization of Layer-Adaptive Weight Pruning in Deep Neural Networks",
        url="https://arxiv.org/abs/2308.10438",
        stochastic=True,
        speed_realised=False,
        claims=(
            Claim(
                text="Amounts that are chosen jointly by the change of the output are better than LAMP's",
                source="section 4, tables of CIFAR-10 and ImageNet",
                metric="top1",
                versus="lamp",
                points=("size-25", "size-10"),
            ),
            Claim(
                text="They are better than the densities of ERK",
                source="section 4, tables of CIFAR-10",
                metric="top1",
                versus="erk",
                points=("size-25", "size-10"),
            ),
            Claim(
                text="They are better than pruning the smallest weights of the whole net",
                source="section 4, tables of CIFAR-10",
                metric="top1",
                versus="global-magnitude",
                points=("size-25", "size-10"),
            ),
            Claim(
                text="A net of photographs loses little at a middle sparsity",
                source="section 4, table of ImageNet; README of the authors' code",
                metric="agreement",
                points=("agree-size-50",),
                relation="same",
                paper_value="ResNet-50, 58 % pruned in one shot: 75.59 against 76.14 (top-1)",
            ),
        ),
        differences=(
            "Amounts are 5 % apart and 1 % from 90 % on; the paper has 101 at equal distances.",
            "Weights are counted in 4,000 parts of the budget, so that the cost does not grow with the net.",
            (
                "The first layer is in the programme as the others are, and a pruned weight stays pruned; neither "
                "holds in the authors' code."
            ),
            "The training afterwards is that of all controls, and as short.",
        ),
    )
    variants: ClassVar = {"default": {}, "iterative": {"rounds": 3}}
    at_point: ClassVar = {
        "agree-size-50": {"coarse": 9, "images": 4},
        "agree-size-25": {"coarse": 9, "images": 4},
        "agree-size-10": {"coarse": 9, "images": 4},
    }

    rounds: int = 1
    coarse: int = 18
    images: int = 64
    worst: bool = True
    rate: float = 1e-3

    def supports(self, task: CompressionTask) -> str | None:
        return unmet(task)

    def build(self, task: CompressionTask) -> nn.Module:
        images = task.calibration(self.images)
        fine = round((1 - FINE_FROM) * 100)
        amounts = [*np.linspace(0, FINE_FROM, self.coarse + 1), *(FINE_FROM + (i + 1) / 100 for i in range(fine))]
        return prune(task, partial(jointly, images=images, amounts=amounts, worst=self.worst), self.rate, self.rounds)


def jointly(
    model: nn.Module, left: int, *, images: Tensor, amounts: Sequence[float], worst: bool
) -> Mapping[str, Tensor]:
    """Masks by layer that keep at most `left` weights in all."""
    found = layers(model)
    kept = {name: counts(each.weight, amounts) for name, each in found.items()}
    distortions = np.stack([distortion(model, name, kept[name], images, worst) for name in found])
    unit = max(1, -(-left // BINS))
    costs = np.stack([-(-np.array(kept[name]) // unit) for name in found])
    chosen = cheapest(distortions, costs, left // unit)
    return {name: largest(found[name].weight, kept[name][each]) for name, each in zip(found, chosen, strict=True)}


def counts(weight: Tensor, amounts: Sequence[float]) -> list[int]:
    """How many weights stay at each amount; of those that are zero already none need be kept."""
    alive = int(weight.count_nonzero())
    return [min(alive, round((1 - amount) * weight.numel())) for amount in amounts]


@torch.no_grad()
def distortion(model: nn.Module, name: str, kept: Sequence[int], images: Tensor, worst: bool) -> NDArray[np.float64]:
    """The squared change of the logits, mean over classes and maximum (or mean) over images, where only so many of the
    weights of one layer stay: (amounts,). The model is left as it was."""
    weight = model.get_parameter(f"{name}.weight")
    before, dense = weight.detach().clone(), model(images)
    found = []
    for count in kept:
        weight.copy_(before * largest(before, count))
        change = (model(images) - dense).square().mean(-1)
        found.append(float(change.max() if worst else change.mean()))
    weight.copy_(before)
    return np.array(found)


def cheapest(distortions: NDArray[np.float64], costs: NDArray[np.int64], budget: int) -> list[int]:
    """Which amount of each layer: the least sum of distortions (layers, amounts) whose costs sum to no more than the
    budget. Raises ValueError where no choice is within it."""
    best = np.zeros(budget + 1)  # of the layers so far, by what may be spent on them
    choices = np.zeros((len(costs), budget + 1), dtype=np.int64)
    for layer, (changes, prices) in enumerate(zip(distortions, costs, strict=True)):
        options = np.full((len(prices), budget + 1), np.inf)
        for amount, (change, price) in enumerate(zip(changes, prices, strict=True)):
            if price <= budget:
                options[amount, price:] = best[: budget + 1 - price] + change
        choices[layer] = options.argmin(0)
        best = options.min(0)
    if not np.isfinite(best[budget]):
        raise ValueError(f"no choice of amounts costs {budget} or less")
    chosen, left = [], budget
    for layer in reversed(range(len(costs))):
        amount = int(choices[layer, left])
        chosen.append(amount)
        left -= int(costs[layer, amount])
    return chosen[::-1]
