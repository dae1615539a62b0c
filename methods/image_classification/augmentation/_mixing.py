"""A learner of images that are mixed with others of their batch."""

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from suites._vision.learning import ImageBatch, ImageLearner


class MixingLearner(ImageLearner):
    """mix: makes inputs (n, 3, size, size) and labels (n,) into mixed inputs and shares of classes (n, classes), as
    torchvision's transforms do."""

    def __init__(self, model: nn.Module, mix: nn.Module, weight_decay: float) -> None:
        super().__init__(model, weight_decay)
        self.mix = mix

    def loss(self, batch: ImageBatch) -> Tensor:
        inputs, shares = self.mix(batch.inputs, batch.labels)
        return cross_entropy(self.model(inputs), shares)
