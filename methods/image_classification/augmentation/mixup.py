"""Control: MixUp (Zhang et al), by torchvision."""

from dataclasses import dataclass

from torchvision.transforms import v2

from bench.contract import Built, Card, Method
from methods.image_classification._training import fit
from methods.image_classification.augmentation._mixing import MixingLearner
from methods.image_classification.baseline.resnet import plain_resnet, too_large
from suites.image_classification.task import ClassificationTask


@dataclass(frozen=True)
class MixUp(Method[ClassificationTask]):
    """Each image is a weighted mean of two, and so are their labels; else the plain ResNet.

    alpha: of the Beta distribution that the share is drawn from. width, rate, weight_decay: as of the plain ResNet.
    """

    card = Card(
        slug="mixup",
        title="MixUp",
        paper="Control: Zhang et al., 2017. mixup: Beyond Empirical Risk Minimization",
        url="https://arxiv.org/abs/1710.09412",
        control=True,
        stochastic=True,
        notes="The paper's ImageNet value of alpha.",
    )

    alpha: float = 0.2
    width: int = 28
    rate: float = 3e-3
    weight_decay: float = 0.05

    def supports(self, task: ClassificationTask) -> str | None:
        return too_large(task)

    def build(self, task: ClassificationTask) -> Built:
        mix = v2.MixUp(alpha=self.alpha, num_classes=task.classes)
        model = plain_resnet(task, self.width)
        return fit(task, lambda: MixingLearner(model(), mix, self.weight_decay), self.rate)
