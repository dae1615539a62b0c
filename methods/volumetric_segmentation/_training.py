"""The same training for every method of the suite, and the same search for the widest network within its limits."""

from collections.abc import Callable, Mapping
from statistics import fmean

import torch

from bench.contract import Built
from suites._training.loop import train
from suites._training.trainer import Trainer
from suites.volumetric_segmentation.learning import VolumeBatch
from suites.volumetric_segmentation.task import SegmentationTask

WIDTH, NARROWEST, BLOCKS = 16, 2, 2
"""Of the network: the architecture that all methods train where their memory allows it."""

WATCHED = 2
"""Validation volumes that the curve is of; a method may look at all."""

Make = Callable[[int], Trainer[VolumeBatch]]
"""A training at its beginning, of a network of that width."""


def meets(task: SegmentationTask, trainer: Trainer[VolumeBatch]) -> bool:
    """Whether a step of the training keeps the limits, by the judge's own scale."""
    return task.limits.met_by(task.weigh(Built(trainer.learner.model, rig=trainer)))


def widest(task: SegmentationTask, make: Make, width: int) -> int:
    """The widest network up to `width` whose training meets the limits; NARROWEST where none does."""
    with torch.random.fork_rng(devices=[]):
        if meets(task, make(width)):
            return width
        within, beyond = NARROWEST, width
        while beyond - within > 1:
            middle = (within + beyond) // 2
            within, beyond = (middle, beyond) if meets(task, make(middle)) else (within, middle)
    return within


def too_large(task: SegmentationTask, make: Make) -> str | None:
    """Why not even the narrowest network meets the limits, or None."""
    with torch.random.fork_rng(devices=[]):
        trainer = make(NARROWEST)
    return task.still_over(Built(trainer.learner.model, rig=trainer), f"{NARROWEST} channels")


def nothing_to_save(task: SegmentationTask) -> str | None:
    """Said by those who only save memory where the plain U-Net has all that it needs; else None."""
    allowed = task.limits.result.get("training_memory_ratio")
    return None if allowed is None or allowed < 1 else "the plain U-Net meets this limit: there is no memory to save"


def fit_widest(task: SegmentationTask, make: Make, width: int, rate: float) -> Built:
    """Train the widest network, up to `width`, that the limits leave."""
    found = widest(task, make, width)
    return fit(task, lambda: make(found), rate, {"channels": found})


def fit(
    task: SegmentationTask, start: Callable[[], Trainer[VolumeBatch]], rate: float, figures: Mapping[str, float]
) -> Built:
    """Train for all the passes that are left.

    start() gives a training at its beginning; it, and the training, draw from generators that are seeded by the task.
    figures: what is told besides. Raises FloatingPointError when a loss is not finite.
    """
    devices = [task.device] if task.device.startswith("cuda") else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(task.seed)
        trainer = start()
        trainer.learner.model.to(task.device)
        curve = train(trainer, task.training(), rate, validation=task.validation()[:WATCHED])
    told = {"learning_rate": rate, "learning_curve": fmean(curve.validation), **figures}
    return Built(trainer.learner.model, rig=trainer, figures=told)
