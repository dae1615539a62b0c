"""The same training for every method that trains a classifier, and the same search for the largest model."""

from collections.abc import Callable, Iterable, Mapping
from statistics import fmean
from typing import Any

import torch
from torch import nn

from bench.contract import Built
from suites._training.loop import Curve, train
from suites._training.schedules import Schedule, by_parts
from suites._training.trainer import Trainer
from suites._vision.learning import ImageBatch, ImageLearner
from suites._vision.task import BATCH
from suites.image_classification.task import ClassificationTask

CLIP = 1.0


def widest(task: ClassificationTask, model: Callable[[int], nn.Module], widths: Iterable[int]) -> int | None:
    """The first of the widths, from the widest on, whose model meets the limits; None if none does."""
    with torch.random.fork_rng(devices=[]):
        for width in sorted(widths, reverse=True):
            if task.limits.met_by(task.weigh(model(width))):
                return width
    return None


def fit(
    task: ClassificationTask,
    start: Callable[[], ImageLearner],
    rate: float,
    *,
    batch: int = BATCH,
    passes: int | None = None,
    finish: Callable[[Any], nn.Module] | None = None,
    schedule: Schedule = by_parts,
    clip: float = CLIP,
) -> Built:
    """Train for all the passes that are left (or so many), and finish.

    start() gives a learner at its beginning; it, and the training, draw from generators that are seeded by the task.
    finish(learner) gives what is shipped; its model, where nothing is said. Raises FloatingPointError when a loss is
    not finite.
    """
    devices = [task.device] if task.device.startswith("cuda") else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(task.seed)
        learner = start()
        learner.model.to(task.device)
        trainer = Trainer(learner, clip=clip)
        curve = train(trainer, task.training(batch, passes), rate, validation=task.validation(), schedule=schedule)
        shipped = learner.model if finish is None else finish(learner)
    return built(task, shipped, trainer, curve, rate)


def built(
    task: ClassificationTask, candidate: nn.Module, trainer: Trainer[ImageBatch], curve: Curve, rate: float
) -> Built:
    """A classifier, what it was trained on, and how that went."""
    figures = {"learning_rate": rate, "learning_curve": fmean(curve.validation), **_reached(curve, task.level)}
    return Built(candidate, rig=trainer, figures=figures)


def _reached(curve: Curve, level: float) -> Mapping[str, float]:
    """What it took until the loss over the validation images was `level` or less; nothing if it never was."""
    for loss, passes in zip(curve.validation, curve.sizes, strict=True):
        if loss <= level:
            return {"passes_to_level": passes}
    return {}
