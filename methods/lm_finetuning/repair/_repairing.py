"""The same search and training for every method that repairs a fault."""

from collections.abc import Callable, Sequence
from functools import partial

import torch

from methods.lm_finetuning._finetuning import best_rate
from suites._training.training import Learner, Trainer, train
from suites.lm_finetuning.candidate import Tuned
from suites.lm_finetuning.task import FineTuningTask

BATCH = 4
"""Faults of a step: half of what other tracks take, as half of their tokens are to be had here."""


def repaired(
    task: FineTuningTask,
    start: Callable[[], Learner],
    rates: Sequence[float],
    *,
    rejected: bool = False,
    general: bool = False,
    batch: int = BATCH,
) -> Tuned:
    """Choose a rate by the loss over the validation examples (right answers of all tasks, so that repair and damage
    both count), and train with it. rejected, general: what the learner reads of `task.preferences`. What has changed
    is shipped."""
    search = partial(task.preferences, rejected=rejected, general=general, use="search", batch=batch)
    rate = best_rate(task, start, rates, batches=search)
    trainer = Trainer(start())
    batches = task.preferences(rejected=rejected, general=general, batch=batch)
    curve = train(trainer, batches, rate, validation=task.validation(), seconds=task.seconds)
    model = trainer.learner.model
    before = dict(task.model.named_parameters())
    changed = {n: w.detach() for n, w in model.named_parameters() if not torch.equal(w, before[n])}
    return Tuned(model=model, shipped=changed, trainer=trainer, rate=rate, curve=curve)
