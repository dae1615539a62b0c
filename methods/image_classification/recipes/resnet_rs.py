"""Revisiting ResNets: Improved Training and Scaling Strategies (Bello et al., 2021), https://arxiv.org/abs/2103.07579."""

import math
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from timm.layers.squeeze_excite import SEModule
from torch import nn
from torchvision.transforms import v2

from bench.contract import Built, Card, Claim, Method
from methods.image_classification._training import fit, widest
from methods.image_classification.recipes._averaged import AveragedLearner
from suites._training.schedules import WARM_UP, by_parts
from suites._vision.models import resnet
from suites.image_classification.task import ClassificationTask

NARROWEST, STEP = 8, 2
GREY = 127
"""What stands where a distortion has moved the image away."""


def cosine(index: int, steps: int, left: float) -> float:
    """The common linear rise, then a half wave of the cosine down to zero."""
    rise = min(1.0, (index + 1) / steps / WARM_UP)
    return rise * (1 - math.cos(math.pi * min(1.0, left / (1 - WARM_UP)))) / 2


@dataclass(frozen=True)
class ResNetRS(Method[ClassificationTask]):
    """A ResNet-D with squeeze-and-excitation, trained with all of: cosine decay, label smoothing, an average of the
    weights, RandAugment, dropout, stochastic depth, little weight decay. Scaled in depth where the images are seen
    often enough to be learnt by heart, in width otherwise; a deeper net is regularised more.

    deep_from: epochs from which on it is scaled in depth. scaling: "regime" as said, "width" always, or "reversed".
    layers, magnitudes, drop_paths: blocks of a stage, strength of RandAugment (of 30) and largest rate of dropped
    blocks, of the wide net and of the deep one. operations: of RandAugment on an image. reach: part of the training
    that the average goes back, as the paper's decay does in its 350 epochs. excitation: share of the channels, 0 for
    none. width: of the first stage, the most; cut to what the limits leave.
    """

    card = Card(
        slug="resnet-rs",
        title="ResNet-RS",
        paper="Bello et al., 2021. Revisiting ResNets: Improved Training and Scaling Strategies",
        url="https://arxiv.org/abs/2103.07579",
        stochastic=True,
        claims=(
            Claim(
                text="With modern training and two changes of the net a ResNet is much better than a plain one",
                source="section 4, additive study of the training and the net",
                metric="top1",
                versus="resnet",
                points=("macs-12m",),
                variant="default",
                paper_value="ImageNet, ResNet-200 at 256 pixels: 83.4 against 79.0",
            ),
            Claim(
                text="The training matters more than the net",
                source="abstract; section 4, additive study of the training and the net",
                metric="top1",
                versus="resnet-rs:network",
                points=("macs-12m",),
                variant="training",
                paper_value="ImageNet, ResNet-200: the training gives 3.2 points, SE and ResNet-D 1.2",
            ),
            Claim(
                text="Scaling in depth is better where a net can over-fit, in width otherwise",
                source="abstract; section 5",
                metric="top1",
                versus="resnet-rs:reversed",
                points=("macs-12m",),
                variant="default",
            ),
        ),
        differences=(
            (
                "Images have 32 pixels: no resolution is scaled, and the stem halves once, without a pooling that "
                "could be replaced."
            ),
            "The plain ResNet has ResNet-D's stem and shortcuts too.",
            "AdamW as all have here, with two fifths of its weight decay, as the paper goes from 1e-4 to 4e-5.",
            "The strength of RandAugment is on torchvision's scale, a third of the paper's.",
        ),
    )
    variants: ClassVar = {
        "default": {},
        "training": {"excitation": 0.0, "scaling": "width"},
        "network": {
            "annealed": False,
            "smoothing": 0.0,
            "reach": 0.0,
            "operations": 0,
            "dropout": 0.0,
            "drop_paths": (0.0, 0.0),
            "weight_decay": 0.05,
        },
        "reversed": {"scaling": "reversed"},
    }

    annealed: bool = True
    smoothing: float = 0.1
    reach: float = 0.09
    operations: int = 2
    magnitudes: tuple[int, int] = (10, 15)
    dropout: float = 0.25
    drop_paths: tuple[float, float] = (0.0, 0.1)
    weight_decay: float = 0.02
    excitation: float = 0.25
    scaling: str = "regime"
    layers: tuple[int, int] = (1, 2)
    deep_from: float = 15.0
    width: int = 28
    rate: float = 3e-3

    def supports(self, task: ClassificationTask) -> str | None:
        return task.still_over(self.net(task, NARROWEST), f"{NARROWEST} channels")

    def build(self, task: ClassificationTask) -> Built:
        width = widest(task, partial(self.net, task), range(NARROWEST, self.width + 1, STEP))
        assert width is not None
        augment = v2.RandAugment(self.operations, self.magnitudes[self.deep(task)], fill=GREY)

        def start() -> AveragedLearner:
            model = self.net(task, width).to(task.device)
            return AveragedLearner(model, self.weight_decay, self.smoothing, augment, self.reach)

        schedule = cosine if self.annealed else by_parts
        return fit(task, start, self.rate, finish=_shipped, schedule=schedule)

    def deep(self, task: ClassificationTask) -> bool:
        """Whether the net is scaled in depth."""
        if self.scaling == "width":
            return False
        often = task.passes >= self.deep_from * len(task.labels)
        return often != (self.scaling == "reversed")

    def net(self, task: ClassificationTask, width: int) -> nn.Module:
        """With new random weights; the rate of dropped blocks rises linearly with the depth."""
        deep = self.deep(task)
        attention = {"attn_layer": partial(SEModule, rd_ratio=self.excitation)} if self.excitation else {}
        return resnet(
            task.classes,
            width,
            layers=(self.layers[deep],) * 3,
            drop_rate=self.dropout,
            drop_path_rate=self.drop_paths[deep],
            block_args=attention,
        )


def _shipped(learner: AveragedLearner) -> nn.Module:
    return learner.shipped
