"""Control: a plain Vision Transformer (Dosovitskiy et al., 2020), by timm."""

from dataclasses import dataclass

from bench.contract import Built, Card, Method
from methods.image_classification._training import fit, widest
from suites._vision.learning import ImageLearner
from suites._vision.models import vit
from suites.image_classification.task import ClassificationTask

NARROWEST, STEP = 16, 4


@dataclass(frozen=True)
class PlainViT(Method[ClassificationTask]):
    """Three blocks with layer norms over tokens of 4 x 4 pixels, trained with AdamW and nothing else.

    width: of a token, the most; cut to what the limits leave. rate: the largest of the schedule.
    """

    card = Card(
        slug="vit",
        title="ViT",
        paper="Control: Dosovitskiy et al., 2020. An Image is Worth 16x16 Words",
        url="https://arxiv.org/abs/2010.11929",
        control=True,
        stochastic=True,
        notes="Tokens come from convolutions in place of patches, as a transformer learns sooner from them (Xiao et "
        "al., 2021); their mean is classified, without a class token.",
    )

    width: int = 68
    rate: float = 2e-3
    weight_decay: float = 0.05

    def supports(self, task: ClassificationTask) -> str | None:
        return task.still_over(vit(task.classes, NARROWEST, task.size), f"tokens of {NARROWEST} numbers")

    def build(self, task: ClassificationTask) -> Built:
        widths = range(NARROWEST, self.width + 1, STEP)
        width = widest(task, lambda each: vit(task.classes, each, task.size), widths)
        assert width is not None
        return fit(task, lambda: ImageLearner(vit(task.classes, width, task.size), self.weight_decay), self.rate)
