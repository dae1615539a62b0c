"""Fire Together Wire Together: A Dynamic Pruning Approach with Self-Supervised Mask Prediction (Elkerdawy et al.,
2021), https://arxiv.org/abs/2110.08232."""

import copy
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from bench.contract import Card, Claim, Method
from methods.vision_compression._folding import folded
from methods.vision_compression._recovery import DistilledLearner, recover
from methods.vision_compression.filters._gates import (
    GatedNet,
    lowest_threshold,
    new_gates,
    responses,
    unmet,
    with_threshold,
)
from methods.vision_compression.filters._groups import cut
from suites._training.learner import Moment
from suites._vision.learning import ImageBatch
from suites.vision_compression.task import CompressionTask

SILENT = 1e-5
"""Share of the mass up to which a filter is dropped even where all of the mass is kept."""
_HALVINGS = 8


@dataclass(frozen=True)
class FTWT(Method[CompressionTask]):
    """For each image only the filters are computed that will fire: a small head in front of a convolution predicts them
    from what the convolution is given. It learns that as a classification of each filter: those count as firing that
    hold the largest maxima of the layer's maps, up to a share of their sum. The net is trained under the masks that are
    predicted, which have no gradient.

    joint: whether the head's loss moves the net as well. predicting: part of the training in which heads learn.
    head_rate: of the heads, as a multiple. rate: of the net, the largest of the schedule. images: calibration images
    that the share of the mass is found on.
    """

    card = Card(
        slug="ftwt",
        title="Fire together wire together",
        paper="Elkerdawy et al., 2021. Fire Together Wire Together: A Dynamic Pruning Approach with Self-Supervised "
        "Mask Prediction",
        url="https://arxiv.org/abs/2110.08232",
        stochastic=True,
        claims=(
            Claim(
                text="Filters chosen for each image are better than filters pruned once for all at equal FLOPs",
                source="section 4, tables of CIFAR-10 and ImageNet",
                metric="top1",
                versus="l1-filters",
                points=("compute-50",),
                variant="default",
            ),
            Claim(
                text="Half of the FLOPs go with little lost",
                source="README of the authors' code",
                metric="top1",
                points=("compute-50",),
                relation="same",
                variant="default",
                paper_value="CIFAR-10, VGG-16: 93.73 against 93.82 at 56 % fewer FLOPs",
            ),
        ),
        differences=(
            (
                "FLOPs of the heads count; filters that are not chosen are not computed, and one is always chosen. "
                "The authors' code computes all, counts none of the heads, and may choose nothing."
            ),
            (
                "The share of the mass is the one that meets the limit if heads err nowhere; then the threshold of "
                "all heads (the paper's is one half) is moved to where the limit is met."
            ),
            "AdamW with ten times the rate for heads, where the paper has SGD.",
            "Filters that a residual hangs on are always computed.",
        ),
    )
    variants: ClassVar = {"default": {}, "joint": {"joint": True}}

    joint: bool = False
    predicting: float = 0.5
    head_rate: float = 10.0
    rate: float = 1e-3
    images: int = 64

    def supports(self, task: CompressionTask) -> str | None:
        return unmet(task)

    def build(self, task: CompressionTask) -> nn.Module:
        share = fitting_mass(task, task.calibration(self.images))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(task.seed)
            gates = new_gates(task.model)
        net = copy.deepcopy(task.model)
        gated = GatedNet(net, gates, self.joint).to(task.device)
        learner = GateLearner(gated, task.model, task.labelled, share, self.predicting, self.head_rate)
        recover(task, gated, self.rate, learner=learner)
        return with_threshold(net, gates, lowest_threshold(task, net, gates))


def firing(found: Tensor, share: float) -> Tensor:
    """Bool (n, filters), of responses (n, filters): the largest, as long as their sum is within that share of all; one
    at the least. At a share of 1 all that are not silent."""
    shares = found / found.sum(-1, keepdim=True).clamp(min=1e-12)
    if share >= 1:
        return shares > SILENT
    ordered, places = shares.sort(-1, descending=True)
    within = ordered.cumsum(-1) <= share
    within[:, 0] = True
    return torch.zeros_like(within).scatter(-1, places, within)


def fitting_mass(task: CompressionTask, images: Tensor) -> float:
    """The share of the mass at which a net of the mean numbers of firing filters meets the limits."""
    found = responses(task.model, images)
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        counts = {
            name: max(1, round(float(firing(each, middle).sum(-1).float().mean()))) for name, each in found.items()
        }
        kept = {name: torch.arange(count) for name, count in counts.items()}
        if task.limits.met_by(task.weigh(folded(cut(task.model, kept)))):
            low = middle
        else:
            high = middle
    return low


class GateLearner(DistilledLearner):
    """The loss of the net, and of its gates: binary cross entropy, summed over filters, mean over images and groups."""

    model: GatedNet

    def __init__(
        self, model: GatedNet, teacher: nn.Module, labelled: bool, share: float, predicting: float, head_rate: float
    ) -> None:
        super().__init__(model, teacher, labelled)
        self.share, self.predicting, self.head_rate = share, predicting, head_rate
        self.weight = 1.0

    def optimizer(self, weights: "list[Tensor]") -> torch.optim.Optimizer:
        heads = {id(each) for each in self.model.gates.parameters()}
        groups: list[dict[str, Any]] = [
            {"params": [each for each in weights if id(each) in heads], "scale": self.head_rate},
            {"params": [each for each in weights if id(each) not in heads]},
        ]
        return torch.optim.AdamW(groups, lr=0.0, weight_decay=0.0)

    def before_step(self, moment: Moment) -> None:
        super().before_step(moment)
        self.weight = 1.0 if moment.done < self.predicting else 0.0

    def loss(self, batch: ImageBatch) -> Tensor:
        found = super().loss(batch)
        return found + self.weight * self.gate_loss() if self.weight else found

    def gate_loss(self) -> Tensor:
        """Of the images that the net was given last."""
        losses = []
        for index, logits in self.model.logits.items():
            fires = firing(self.model.responses[index], self.share).to(logits.dtype)
            losses.append(binary_cross_entropy_with_logits(logits, fires, reduction="none").sum(-1).mean())
        return torch.stack(losses).mean()
