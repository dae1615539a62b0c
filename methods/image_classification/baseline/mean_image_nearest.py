"""Control that hardly knows anything: the class whose mean image is nearest."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.contract import Card, Method
from suites._vision.learning import ImageBatch
from suites.image_classification.task import ClassificationTask


class NearestMean(nn.Module):
    """Logits fall with the squared distance to the mean image of each class (classes, numbers of an image), of which
    one is a product. temperature: in squared distances."""

    weight: Tensor
    bias: Tensor

    def __init__(self, means: Tensor, temperature: float) -> None:
        super().__init__()
        self.register_buffer("weight", 2 * means / temperature)
        self.register_buffer("bias", -means.square().sum(-1) / temperature)

    def forward(self, inputs: Tensor) -> Tensor:
        return nn.functional.linear(inputs.flatten(1), self.weight, self.bias)


@dataclass(frozen=True)
class MeanImageNearest(Method[ClassificationTask]):
    """Every training image is seen once, as far as the passes reach. The temperature is the mean squared distance to
    the own class's mean."""

    card = Card(
        slug="mean-image-nearest",
        title="Nearest mean image",
        paper="Control: nearest class mean on pixels",
        control=True,
        trivial=True,
        stochastic=True,
        notes="Of the pixels as they are.",
    )

    def build(self, task: ClassificationTask) -> nn.Module:
        passes = min(task.passes, len(task.labels))
        batches: list[ImageBatch] = list(task.training(passes=passes))
        inputs = torch.cat([batch.inputs.flatten(1) for batch in batches])
        labels = torch.cat([batch.labels for batch in batches])
        sums = torch.zeros(task.classes, inputs.shape[1], device=inputs.device).index_add_(0, labels, inputs)
        counts = torch.bincount(labels, minlength=task.classes).clamp(min=1)
        means = sums / counts[:, None]
        temperature = float((inputs - means[labels]).square().sum(-1).mean())
        return NearestMean(means, max(temperature, 1e-6))
