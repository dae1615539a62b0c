"""The same training for every method that trains a recogniser, and the same search for the largest model."""

from collections.abc import Callable, Iterable, Mapping
from statistics import fmean

import torch
from torch import nn

from bench.contract import Built
from suites._training.loop import Curve, train
from suites._training.trainer import Trainer
from suites.signal_recognition.learning import SignalLearner
from suites.signal_recognition.task import SignalTask


def widest(task: SignalTask, model: Callable[[int], nn.Module], widths: Iterable[int]) -> int:
    """The first of the widths, from the widest on, whose model meets the limits. Raises ValueError if none does, of
    which `still_over` tells beforehand."""
    with torch.random.fork_rng(devices=[]):
        for width in sorted(widths, reverse=True):
            if task.limits.met_by(task.weigh(model(width))):
                return width
    raise ValueError("not even the narrowest model meets the limits")


def fit(task: SignalTask, model: Callable[[], nn.Module], learner: Callable[[nn.Module], SignalLearner], rate: float
        ) -> Built:  # fmt: skip
    """Train for all the passes that are left. model() gives a model at its beginning; it draws from generators that are
    seeded by the task. learner: what it learns by. Raises FloatingPointError when a loss is not finite."""
    devices = [task.device] if task.device.startswith("cuda") else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(task.seed)
        started = learner(model().to(task.device))
        trainer = Trainer(started)
        curve = train(trainer, task.training(), rate, validation=task.validation())
    figures = {"learning_rate": rate, "learning_curve": fmean(curve.validation), **_reached(curve, task.level)}
    return Built(started.model, rig=trainer, figures=figures)


def _reached(curve: Curve, level: float) -> Mapping[str, float]:
    """What it took until the loss over the validation signals was `level` or less; nothing if it never was."""
    for loss, passes in zip(curve.validation, curve.sizes, strict=True):
        if loss <= level:
            return {"passes_to_level": passes}
    return {}
