"""The same training for every method that mends what it has made smaller."""

import torch
from torch import nn

from suites._training.loop import train
from suites._training.trainer import Trainer
from suites.ctr_prediction.learning import RowLearner
from suites.ctr_prediction.task import ClickTask

BASE = 1e-2
"""The rate of the bases of the embedded scale."""


def recover(task: ClickTask, model: nn.Module, rate: float, passes: int | None = None) -> None:
    """Train what requires a gradient, in place, on clicks, for all the sample passes that are left, or so many.

    rate: the largest of the schedule where the base had BASE; elsewhere it goes with the base's own. Does nothing where
    no batch is left.
    """
    steps = task.training(passes)
    if not len(steps):
        return
    devices = [task.device] if task.device.startswith("cuda") else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(task.seed)
        train(Trainer(RowLearner(model)), steps, rate * task.rate / BASE)
