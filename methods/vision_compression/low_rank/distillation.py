"""Control: a narrower net learns from the dense one (Hinton et al., 2015), https://arxiv.org/abs/1503.02531."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from bench.contract import Card, Method
from methods.vision_compression._folding import folded
from methods.vision_compression._recovery import recover
from suites._vision.models import resnet, vit
from suites.vision_compression.task import CompressionTask

NARROWEST = 4


@dataclass(frozen=True)
class Distillation(Method[CompressionTask]):
    """The widest net of the base's kind that meets the limits, from random weights, learns the labels and what the
    dense model says.

    rate: the largest of the schedule.
    """

    card = Card(
        slug="distillation",
        title="Distillation",
        paper="Control: Hinton et al., 2015. Distilling the Knowledge in a Neural Network",
        url="https://arxiv.org/abs/1503.02531",
        problems=("classify",),
        control=True,
        stochastic=True,
        notes="At a temperature of 1, in equal parts with the labels.",
    )

    rate: float = 3e-3

    def supports(self, task: CompressionTask) -> str | None:
        return task.still_over(narrower(task, NARROWEST), f"{NARROWEST} channels")

    def build(self, task: CompressionTask) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(task.seed)
            model = narrower(
                task, widest(task, range(NARROWEST, 512, 4 if isinstance(task.model, VisionTransformer) else 2))
            ).to(task.device)
        recover(task, model, self.rate)
        return folded(model)


def widest(task: CompressionTask, widths: Sequence[int]) -> int:
    """By halving; the narrowest is taken to meet the limits."""
    low, high = 0, len(widths)
    while high - low > 1:
        middle = (low + high) // 2
        if task.limits.met_by(task.weigh(folded(narrower(task, widths[middle])))):
            low = middle
        else:
            high = middle
    return widths[low]


def narrower(task: CompressionTask, width: int) -> nn.Module:
    if isinstance(task.model, VisionTransformer):
        return vit(task.classes, width, task.size)
    return resnet(task.classes, width)
