"""Control: a ViT with batch norm in place of layer norm."""

from dataclasses import dataclass

from timm.models.vision_transformer import VisionTransformer

from bench.contract import Built, Card, Method
from methods.image_classification._training import fit, widest
from methods.image_classification.normalisation._norms import TokenBatchNorm, foldable_vit, folded
from suites._vision.learning import ImageLearner
from suites.image_classification.task import ClassificationTask

NARROWEST, STEP = 16, 4


@dataclass(frozen=True)
class BatchNormViT(Method[ClassificationTask]):
    """The plain ViT, but for batch norms over images and tokens from the first step on, which are folded into the
    linear layers behind them when the training is over.

    width, rate, weight_decay: as of the plain ViT.
    """

    card = Card(
        slug="vit-batchnorm",
        title="ViT with batch norm",
        paper="Control: Ioffe and Szegedy, 2015. Batch Normalization",
        url="https://arxiv.org/abs/1502.03167",
        control=True,
        stochastic=True,
        notes="Softmax attention; the last norm comes before the mean over the tokens, so that it folds too.",
    )

    width: int = 68
    rate: float = 2e-3
    weight_decay: float = 0.05

    def supports(self, task: ClassificationTask) -> str | None:
        return task.still_over(folded(_model(task, NARROWEST)), f"tokens of {NARROWEST} numbers")

    def build(self, task: ClassificationTask) -> Built:
        widths = range(NARROWEST, self.width + 1, STEP)
        width = widest(task, lambda each: folded(_model(task, each)), widths)
        assert width is not None
        return fit(
            task,
            lambda: ImageLearner(_model(task, width), self.weight_decay),
            self.rate,
            finish=lambda learner: folded(learner.model),
        )


def _model(task: ClassificationTask, width: int) -> VisionTransformer:
    return foldable_vit(task.classes, width, task.size, TokenBatchNorm)
