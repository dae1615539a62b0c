"""LAPP: Layer Adaptive Progressive Pruning for Compressing CNNs from Scratch (Zhai et al., 2023),
https://arxiv.org/abs/2309.14157."""

import copy
import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from bench.contract import Card, Claim, Method
from methods.vision_compression._folding import folded
from methods.vision_compression._layers import all_layers, watched
from methods.vision_compression._recovery import BATCH, FEW, DistilledLearner, recover
from methods.vision_compression.filters._bypass import cut, masks, prepare
from methods.vision_compression.filters._groups import none_there
from suites._training.learner import Moment
from suites.vision_compression.task import CompressionTask

_REACH, _HALVINGS = 30.0, 16
"""How far thresholds are moved at the most, in standard deviations, and how often that range is halved."""


@dataclass(frozen=True)
class LAPP(Method[CompressionTask]):
    """Each convolution has a threshold that learns: filters are masked whose norm has a smaller scale. The loss moves
    it, and a term that is above zero while the net has more FLOPs than it may (or more weights, where bytes are
    limited); once it has not, thresholds stand still. Early in the training the net is cut there, and trained on. From
    the start a light bypass stands beside each convolution, so that signal passes where many filters go, or all.

    bypass: its filters, as a share of those of the convolution, at most half of the share that the limit leaves; 0 for
    none. pruning: part of the sample passes after which the net is cut. way: how far thresholds could go by then, root
    mean square over layers, in standard deviations of a layer's scores. pressure: weight of the term. rate: of weights,
    the largest of the schedule.
    """

    card = Card(
        slug="lapp",
        title="LAPP",
        paper="Zhai et al., 2023. LAPP: Layer Adaptive Progressive Pruning for Compressing CNNs from Scratch",
        url="https://arxiv.org/abs/2309.14157",
        stochastic=True,
        claims=(
            Claim(
                text="Thresholds that learn, and a bypass, keep more than pruning all layers alike by magnitude",
                source="abstract",
                metric="top1",
                versus="l1-filters",
                points=("compute-50",),
                variant="default",
            ),
            Claim(
                text="The bypass keeps what a narrow net can express",
                source="abstract",
                metric="top1",
                versus="lapp:no-bypass",
                points=("compute-50",),
                variant="default",
            ),
            Claim(
                text="More than half of the FLOPs go without loss",
                source="abstract",
                metric="top1",
                points=("compute-50",),
                relation="same",
                variant="default",
                paper_value="ImageNet, ResNet-18: 55.6 % fewer FLOPs, top-1 0.21 points higher",
            ),
        ),
        differences=(
            "From the abstract alone: there is no public code, and the details below are ours.",
            (
                "It starts from the trained base, as all that are compared here, not from random weights, and "
                "learns from the dense model besides."
            ),
            (
                "The score is the magnitude of the norm's scale, in standard deviations of its layer; the gradient of "
                "a threshold is a sigmoid's."
            ),
            "The squared excess of FLOPs is penalised; thresholds move in steps of equal length.",
            "At the end all thresholds are shifted alike, to where the limit is just met.",
            "The bypass is a few filters of one pixel, whose maps are appended and whose FLOPs count.",
            "Channels of the residual stream and filters that read images stay.",
        ),
    )
    variants: ClassVar = {"default": {}, "no-bypass": {"bypass": 0.0}}

    bypass: float = 1 / 8
    pruning: float = 0.25
    way: float = 3.0
    pressure: float = 1.0
    rate: float = 1e-3

    def supports(self, task: CompressionTask) -> str | None:
        if reason := none_there(task):
            return reason
        return task.still_over(folded(cut(self.start(task), _REACH)), "the fewest filters left of each convolution")

    def build(self, task: CompressionTask) -> nn.Module:
        net = self.start(task)
        passes = int(task.passes * self.pruning)
        steps = max(1, passes // (BATCH if task.labelled else FEW))
        costs = Costs(task, net)
        learner = ThresholdLearner(net, task.model, task.labelled, costs, self.pressure, self.way / steps)
        recover(task, net, self.rate, passes=passes, learner=learner)
        smaller = cut(net, least_shift(task, net))
        recover(task, smaller, self.rate)
        return folded(smaller)

    def start(self, task: CompressionTask) -> nn.Module:
        """The dense net, with thresholds below all scores."""
        net = copy.deepcopy(task.model).requires_grad_(True)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(task.seed)
            prepare(net, min(self.bypass, min(task.limits.result.values(), default=1.0) / 2))
        return net


class Costs:
    """What a net under masks will cost when it is cut, as a multiple of what the limit allows: multiply-adds of an
    image, or weights where bytes are limited."""

    def __init__(self, task: CompressionTask, net: nn.Module) -> None:
        limits = task.limits.result
        image = torch.zeros(1, 3, task.size, task.size, device=task.device)
        weights = "stored_ratio" in limits
        allowed = min(limits.values(), default=math.inf) * sum(costs_of(task.model, image, weights).values())
        spent = costs_of(net, image, weights)
        self.masks = list(masks(net).values())
        self.prices = []  # of a filter
        for group, mask in masks(net).items():
            own = spent.get(f"{group.conv}.conv", spent.get(group.conv, 0.0)) / mask.filters
            read = (spent.get(group.depthwise, 0.0) + spent[group.reader]) / (mask.filters + mask.bypass)
            self.prices.append((own + read) / allowed)
        whole = sum(price * mask.filters for price, mask in zip(self.prices, self.masks, strict=True))
        self.rest = sum(spent.values()) / allowed - whole

    def now(self) -> Tensor:
        """Its gradient is that of thresholds alone."""
        counts = torch.stack([mask.count() for mask in self.masks])
        return self.rest + (counts * counts.new_tensor(self.prices)).sum()


class ThresholdLearner(DistilledLearner):
    """Thresholds go down the gradient of the loss and of the term of costs together, by steps that are equally long
    (`step`, root mean square over layers), while the net costs more than it may; no further."""

    def __init__(
        self, model: nn.Module, teacher: nn.Module, labelled: bool, costs: Costs, pressure: float, step: float
    ) -> None:
        super().__init__(model, teacher, labelled)
        self.costs, self.pressure, self.step = costs, pressure, step
        self.thresholds = [each.threshold for each in costs.masks]

    def trained(self) -> list[nn.Parameter]:
        """Weights; thresholds move by steps of their own."""
        apart = {id(each) for each in self.thresholds}
        return [each for each in super().trained() if id(each) not in apart]

    def penalty(self) -> Tensor:
        """The square of the share by which costs are above what is allowed; nothing below it."""
        return self.pressure * (self.costs.now() - 1).clamp(min=0).square()

    @torch.no_grad()
    def before_update(self, moment: Moment) -> None:
        slopes = torch.stack([each.grad for each in self.thresholds if each.grad is not None])
        length = slopes.square().mean().sqrt()
        moves = length > 0 and self.costs.now() > 1
        for threshold, slope in zip(self.thresholds, slopes, strict=True):
            threshold.grad = None
            if moves:
                threshold.sub_(self.step * slope / length)


def least_shift(task: CompressionTask, net: nn.Module) -> float:
    """Of all thresholds together, to where the limits are just met."""
    low, high = -_REACH, _REACH
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if task.limits.met_by(task.weigh(folded(cut(net, middle)))):
            high = middle
        else:
            low = middle
    return high


@torch.no_grad()
def costs_of(net: nn.Module, image: Tensor, weights: bool) -> dict[str, float]:
    """Of each convolution and linear layer its multiply-adds of an image, or its weights."""
    spent: dict[str, float] = {}

    found = all_layers(net)

    def count(name: str, _: Tensor, out: Tensor) -> None:
        weight = found[name].weight
        spent[name] = weight.numel() if weights else out[0].numel() * weight[0].numel()

    with watched(net, found, count):
        net.eval()(image)
    return spent
