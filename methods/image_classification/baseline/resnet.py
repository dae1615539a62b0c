"""Control: a plain ResNet (He et al., 2015), of timm's blocks."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from bench.contract import Built, Card, Method
from methods.image_classification._training import fit, widest
from suites._vision.learning import ImageLearner
from suites._vision.models import resnet
from suites.image_classification.task import ClassificationTask

NARROWEST, STEP = 8, 2


@dataclass(frozen=True)
class PlainResNet(Method[ClassificationTask]):
    """Three stages of one residual block, trained with AdamW and nothing else.

    width: channels of the first stage, the most; cut to what the limits leave. rate: the largest of the schedule.
    """

    card = Card(
        slug="resnet",
        title="ResNet",
        paper="Control: He et al., 2015. Deep Residual Learning for Image Recognition",
        url="https://arxiv.org/abs/1512.03385",
        control=True,
        stochastic=True,
        notes="ResNet-D's stem and shortcuts; AdamW where the paper has SGD.",
    )

    width: int = 28
    rate: float = 3e-3
    weight_decay: float = 0.05

    def supports(self, task: ClassificationTask) -> str | None:
        return too_large(task)

    def build(self, task: ClassificationTask) -> Built:
        model = plain_resnet(task, self.width)
        return fit(task, lambda: ImageLearner(model(), self.weight_decay), self.rate)


def plain_resnet(task: ClassificationTask, width: int) -> Callable[[], nn.Module]:
    """Makes the widest that the limits leave, at most of that width, with new random weights."""
    found = widest(task, lambda each: resnet(task.classes, each), range(NARROWEST, width + 1, STEP))
    assert found is not None
    return lambda: resnet(task.classes, found)


def too_large(task: ClassificationTask) -> str | None:
    """Why not even the narrowest meets the limits, or None."""
    return task.still_over(resnet(task.classes, NARROWEST), f"{NARROWEST} channels")
