"""Control: CutMix (Yun et al), by torchvision."""

from dataclasses import dataclass

from torchvision.transforms import v2

from bench.contract import Built, Card, Method
from methods.image_classification._training import fit
from methods.image_classification.augmentation._mixing import MixingLearner
from methods.image_classification.baseline.resnet import plain_resnet, too_large
from suites.image_classification.task import ClassificationTask


@dataclass(frozen=True)
class CutMix(Method[ClassificationTask]):
    """A rectangle of each image is another's, and that share of the label; else the plain ResNet.

    alpha: of the Beta distribution that the share is drawn from. width, rate, weight_decay: as of the plain ResNet.
    """

    card = Card(
        slug="cutmix",
        title="CutMix",
        paper="Control: Yun et al., 2019. CutMix: Regularization Strategy to Train Strong Classifiers",
        url="https://arxiv.org/abs/1905.04899",
        control=True,
        stochastic=True,
        notes="The paper's alpha; on every batch.",
    )

    alpha: float = 1.0
    width: int = 28
    rate: float = 3e-3
    weight_decay: float = 0.05

    def supports(self, task: ClassificationTask) -> str | None:
        return too_large(task)

    def build(self, task: ClassificationTask) -> Built:
        mix = v2.CutMix(alpha=self.alpha, num_classes=task.classes)
        model = plain_resnet(task, self.width)
        return fit(task, lambda: MixingLearner(model(), mix, self.weight_decay), self.rate)
