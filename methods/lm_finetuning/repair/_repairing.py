"""The same search and training for every method that repairs a fault."""

from collections.abc import Callable, Sequence
from functools import partial

import torch

from bench.contract import Built
from methods.lm_finetuning._finetuning import best_rate, built
from suites._training.learner import Learner
from suites._training.loop import train
from suites._training.trainer import Trainer
from suites.lm_finetuning.batches import Batch
from suites.lm_finetuning.patches import Changed
from suites.lm_finetuning.repair import RepairTask

BATCH = 4
"""Faults of a step: half of what other problems take, as half of their tokens are to be had here."""


def repaired(
    task: RepairTask,
    start: Callable[[], Learner[Batch]],
    rates: Sequence[float],
    *,
    rejected: bool = False,
    general: bool = False,
    batch: int = BATCH,
) -> Built:
    """Choose a rate by the loss over the validation examples (right answers of all tasks, so that repair and damage
    both count), and train with it. rejected, general: what the learner reads of `task.preferences`. What has changed
    is shipped."""
    search = partial(task.preferences, rejected=rejected, general=general, use="search", batch=batch)
    rate = best_rate(task, start, rates, batches=search)
    trainer = Trainer(start())
    batches = task.preferences(rejected=rejected, general=general, batch=batch)
    curve = train(trainer, batches, rate, validation=task.validation(), seconds=task.seconds)
    before = dict(task.model.named_parameters())
    weights = trainer.learner.model.named_parameters()
    changed = {name: weight.detach() for name, weight in weights if not torch.equal(weight, before[name])}
    return built(task, Changed(changed), trainer, curve, rate)
