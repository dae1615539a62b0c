"""The same training for every separator, and the same search for the largest model."""

from collections.abc import Callable, Iterable
from statistics import fmean

import torch
from torch import nn

from bench.contract import Built
from suites._training.loop import train
from suites._training.trainer import Trainer
from suites.audio_separation.learning import SeparationLearner
from suites.audio_separation.task import SeparationTask

CLIP = 5.0
"""Norm of the gradient, as of both papers' trainings."""
VALIDATED = 8
"""Validation mixes at a time."""


def widest(task: SeparationTask, model: Callable[[int], nn.Module], widths: Iterable[int]) -> int:
    """The widest whose model meets the limits, where each width takes more than those below it; the narrowest if none
    does."""
    ordered = sorted(widths)
    least, beyond = 0, len(ordered)
    with torch.random.fork_rng(devices=[]):
        while beyond - least > 1:
            middle = (least + beyond) // 2
            if task.limits.met_by(task.weigh(model(ordered[middle]))):
                least = middle
            else:
                beyond = middle
    return ordered[least]


def fit(task: SeparationTask, model: Callable[[], nn.Module], rate: float) -> Built:
    """Train for all the passes that are left. The model at its beginning, and the training, draw from generators that
    are seeded by the task. Raises FloatingPointError when a loss is not finite."""
    devices = [task.device] if task.device.startswith("cuda") else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(task.seed)
        learner = SeparationLearner(model().to(task.device))
        trainer = Trainer(learner, clip=CLIP)
        curve = train(trainer, task.training(), rate, validation=task.validation(VALIDATED))
    figures = {"learning_rate": rate, "learning_curve": fmean(curve.validation)}
    return Built(learner.model, rig=trainer, figures=figures)
