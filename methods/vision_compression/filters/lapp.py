"""LAPP: Layer Adaptive Progressive Pruning for Compressing CNNs from Scratch (Zhai et al., 2023),
https://arxiv.org/abs/2309.14157."""

import copy
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from bench.contract import Card, Claim, Method
from methods._techniques.modules import found
from methods.vision_compression._folding import folded
from methods.vision_compression._layers import Layer
from methods.vision_compression._recovery import DistilledLearner, recover
from methods.vision_compression.filters._bypass import Prunable, prunable
from methods.vision_compression.filters._groups import none_there
from suites.vision_compression.task import CompressionTask

_REACH, _HALVINGS = 4.0, 16
"""How far thresholds are moved at the most, and how often that range is halved."""


@dataclass(frozen=True)
class LAPP(Method[CompressionTask]):
    """A net is trained from random weights, and pruned in the first part of that. Each convolution has a threshold that
    learns: filters whose norm has a smaller scale are masked. The labels move it, and a term that is above 0 while the
    net has more FLOPs than it may. Then the net is cut and trained on. A light bypass stands beside each convolution
    from the start, so that signal passes where many filters go.

    bypass: whether there is one. pruning: part of the sample passes. pressure: weight of the FLOPs' term. moving: rate
    of thresholds, as a multiple. rate: the largest of the schedule.
    """

    card = Card(
        slug="lapp",
        title="LAPP",
        paper="Zhai et al., 2023. LAPP: Layer Adaptive Progressive Pruning for Compressing CNNs from Scratch",
        url="https://arxiv.org/abs/2309.14157",
        problems=("classify",),
        stochastic=True,
        claims=(
            Claim(
                text="Thresholds that learn keep more than pruning all layers alike by magnitude",
                source="abstract",
                metric="top1",
                versus="l1-filters",
                variant="default",
            ),
            Claim(
                text="The bypass keeps what a narrow net can express",
                source="abstract",
                metric="top1",
                versus="lapp:no-bypass",
                variant="default",
            ),
            Claim(
                text="More than half of the FLOPs go without loss",
                source="abstract",
                metric="top1",
                relation="same",
                variant="default",
                paper_value="ImageNet, ResNet-18: 55.6 % fewer FLOPs, top-1 0.21 points higher",
            ),
        ),
        notes="From the abstract alone, without public code. Ours are: the magnitude of a batch norm's scale as the "
        "score, a sigmoid for the threshold's gradient, the squared excess of FLOPs, a grouped convolution of a pixel "
        "as bypass (its FLOPs count), and a common shift of all thresholds to where the limit is met. It learns from "
        "the dense model besides, as all that train here.",
    )
    variants: ClassVar = {"default": {}, "no-bypass": {"bypass": False}}

    bypass: bool = True
    pruning: float = 1 / 6
    pressure: float = 10.0
    moving: float = 10.0
    rate: float = 3e-3

    def supports(self, task: CompressionTask) -> str | None:
        if "stored_ratio" in task.limits.result:
            return "its thresholds are driven by FLOPs, and know nothing of bytes"
        if reason := none_there(task):
            return reason
        net, names = self.start(task)
        return task.still_over(folded(cut(net, names, _REACH)), "the fewest filters left of each convolution")

    def build(self, task: CompressionTask) -> nn.Module:
        net, names = self.start(task)
        target = task.limits.result["flops_ratio"] * multiply_adds(task.model, image_of(task))
        learner = PruningLearner(net, task.model, task.labelled, target, self.pressure, self.moving, image_of(task))
        recover(task, net, self.rate, passes=round(task.passes * self.pruning), learner=learner)
        smaller = cut(net, names, self.shift(task, net, names))
        recover(task, smaller, self.rate)
        return folded(smaller)

    def start(self, task: CompressionTask) -> tuple[nn.Module, list[str]]:
        """The base's net with new random weights, and the names of what can be pruned."""
        net = copy.deepcopy(task.model)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(task.seed)
            for module in net.modules():
                if isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm2d):
                    module.reset_parameters()
            names = prunable(net, image_of(task), self.bypass)
        return net.to(task.device), names

    def shift(self, task: CompressionTask, net: nn.Module, names: list[str]) -> float:
        """Of all thresholds, the least at which the limits are met."""
        low, high = -_REACH, _REACH
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            if task.limits.met_by(task.weigh(folded(cut(net, names, middle)))):
                high = middle
            else:
                low = middle
        return high


class PruningLearner(DistilledLearner):
    """Thresholds learn with the net, and by the FLOPs' term. target: multiply-adds of an image."""

    def __init__(
        self,
        model: nn.Module,
        teacher: nn.Module,
        labelled: bool,
        target: float,
        pressure: float,
        moving: float,
        image: Tensor,
    ) -> None:
        super().__init__(model, teacher, labelled)
        self.target, self.pressure, self.moving = target, pressure, moving
        self.layers = list(found(model, Prunable).values())
        self.fixed = multiply_adds(model, image) - sum(each.full + each.light for each in self.layers)

    def optimizer(self, weights: "list[Tensor]") -> torch.optim.Optimizer:
        thresholds = {id(each.threshold) for each in self.layers}
        groups: list[dict[str, Any]] = [
            {"params": [each for each in weights if id(each) in thresholds], "scale": self.moving},
            {"params": [each for each in weights if id(each) not in thresholds]},
        ]
        return torch.optim.AdamW(groups, lr=0.0, weight_decay=0.0)

    def penalty(self) -> Tensor:
        """The square of the share by which the FLOPs are above the target; nothing below it."""
        now = self.fixed + torch.stack([each.multiply_adds() for each in self.layers]).sum()
        return self.pressure * (now / self.target - 1).clamp(min=0).square()


def cut(net: nn.Module, names: list[str], shift: float) -> nn.Module:
    """A copy without the filters that are below their thresholds, all moved by `shift`."""
    smaller = copy.deepcopy(net)
    for name in names:
        layer: Any = smaller.get_submodule(name)
        smaller.set_submodule(name, layer.cut(shift))
    return smaller


def image_of(task: CompressionTask) -> Tensor:
    return torch.zeros(1, 3, task.size, task.size, device=task.device)


@torch.no_grad()
def multiply_adds(model: nn.Module, image: Tensor) -> float:
    """Of convolutions and linear layers, of an image."""
    total = 0.0

    def add(layer: Layer, out: Tensor) -> None:
        nonlocal total
        total += out[0].numel() * layer.weight[0].numel()

    hooks = [
        each.register_forward_hook(lambda layer, _, out: add(layer, out))
        for each in model.modules()
        if isinstance(each, nn.Conv2d | nn.Linear)
    ]
    model.eval()(image)
    for hook in hooks:
        hook.remove()
    return total
