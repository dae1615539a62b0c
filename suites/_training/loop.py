"""The training loop: batches in order, a learning rate that rises and falls, and how it went."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from suites._training import tally
from suites._training.learner import BatchT, Learner, Moment
from suites._training.schedules import Schedule, by_parts
from suites._training.trainer import Trainer

STAGES = 4
"""How often the loss over the validation batches is taken while a model learns."""


@dataclass
class Curve:
    """How a training went. losses: of each step. validation: loss over the validation batches at the start and after
    each of STAGES equal parts; sizes, seconds: trained on by then (the seconds without the validation)."""

    losses: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    sizes: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def train(
    trainer: Trainer[BatchT],
    batches: Sequence[BatchT],
    rate: float,
    *,
    validation: Sequence[BatchT] = (),
    seconds: float | None = None,
    schedule: Schedule = by_parts,
) -> Curve:
    """Train on the batches in order, with the rate `rate` times what the schedule says.

    seconds: stop when they are over; what is left is then that of steps or time, whichever is further on.
    The model ends in eval mode, without gradients. Raises FloatingPointError when a loss is not finite.
    """
    curve, spent, seen = Curve(), 0.0, 0.0
    model = trainer.learner.model
    marks = {round(part * len(batches) / STAGES) for part in range(STAGES + 1)}
    count = tally.Count(len(batches))

    def look() -> None:
        curve.validation.append(validation_loss(trainer.learner, validation))
        curve.sizes.append(seen)
        curve.seconds.append(spent)

    for index, batch in enumerate(batches):
        if validation and index in marks:
            look()
        start = time.perf_counter()
        left = 1 - index / len(batches) if seconds is None else min(1 - index / len(batches), 1 - spent / seconds)
        if left <= 0:
            break
        model.train()
        moment = Moment(index, len(batches), 1 - left)
        with count.step(index, batch.size):
            loss = trainer.step(batch, rate * schedule(index, len(batches), left), moment)
        if not math.isfinite(loss):
            raise FloatingPointError(f"the loss is {loss} after {index} steps at the learning rate {rate:g}")
        spent += time.perf_counter() - start
        seen += batch.size
        curve.losses.append(loss)
    model.eval()
    if validation:
        look()
    return curve


@torch.no_grad()
def validation_loss(learner: Learner[BatchT], batches: Sequence[BatchT]) -> float:
    """Mean over batches of what the learner is judged by."""
    learner.model.eval()
    return sum(float(learner.validation(batch)) for batch in batches) / len(batches)
