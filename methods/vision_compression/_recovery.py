"""The same training for every method that mends what it has compressed."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, kl_div

from suites._training.learner import Moment
from suites._training.loop import train
from suites._training.trainer import Trainer
from suites._vision.learning import ImageBatch, ImageLearner
from suites.vision_compression.task import CompressionTask

BATCH, FEW = 64, 16
"""Images of a step, and of one where there are no labels and few images."""
SLOWER = 0.3
"""Of the rate, for a net of photographs that has been trained for long."""
SETTLED = 32
"""Calibration images that the statistics of batch norms are taken of anew, where they are not trained."""


class DistilledLearner(ImageLearner):
    """Learns what the dense model says: the divergence from its probabilities, in equal parts with the cross entropy
    of the labels where there are any. Without labels a batch is too small for statistics: batch norms keep those that
    they have.
    """

    def __init__(self, model: nn.Module, teacher: nn.Module, labelled: bool, weight_decay: float = 0.0) -> None:
        super().__init__(model, weight_decay)
        self.teacher, self.labelled = teacher, labelled
        self.references = (teacher,)

    def before_step(self, moment: Moment) -> None:
        if not self.labelled:
            keep_statistics(self.model)

    def loss(self, batch: ImageBatch) -> Tensor:
        inputs = batch.inputs
        with torch.no_grad():
            told = self.teacher(inputs)
        return self.of_logits(self.model(inputs), told, batch.labels)

    def of_logits(self, logits: Tensor, told: Tensor, labels: Tensor) -> Tensor:
        divergence = kl_div(logits.log_softmax(-1), told.log_softmax(-1), reduction="batchmean", log_target=True)
        return (divergence + cross_entropy(logits, labels)) / 2 if self.labelled else divergence


def keep_statistics(model: nn.Module) -> None:
    """Batch norms in eval mode: what they know of the images stays."""
    for norm in _norms(model):
        norm.eval()


def _norms(model: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    return [each for each in model.modules() if isinstance(each, nn.modules.batchnorm._BatchNorm)]


@torch.no_grad()
def settle(model: nn.Module, parts: Iterable[Tensor]) -> None:
    """In place: what batch norms know of their inputs is what these images give, each part of them alike. The model
    ends in eval mode. parts: float32 (n, 3, size, size)."""
    norms = _norms(model.eval())
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.train().reset_running_stats()
        norm.momentum = None  # the plain mean over parts
    for part in parts:
        model(part)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.eval().momentum = momentum


def recover(
    task: CompressionTask,
    model: nn.Module,
    rate: float,
    *,
    passes: int | None = None,
    learner: ImageLearner | None = None,
) -> None:
    """Train the model, in place, for all the sample passes that are left, or so many; its weights that require a
    gradient. learner: of the model, where it is not a DistilledLearner. Does nothing where no batch is left.

    Without labels, statistics of batch norms are first taken anew: those of the dense model say nothing of what is
    left of it."""
    if not task.labelled and task.calibration_left and _norms(model):
        settle(model, task.calibration(SETTLED).split(FEW))
    steps = task.training(BATCH if task.labelled else FEW, passes)
    if not len(steps):
        return
    devices = [task.device] if task.device.startswith("cuda") else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(task.seed)
        trainer = Trainer(learner or DistilledLearner(model, task.model, task.labelled))
        train(trainer, steps, rate if task.labelled else rate * SLOWER)
