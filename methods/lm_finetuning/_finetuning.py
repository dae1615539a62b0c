"""The same search for a learning rate and the same training for every method that fine-tunes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from bench.contract import Built, Score
from suites._training import rates as search
from suites._training.learner import Learner
from suites._training.loop import Curve, train
from suites._training.trainer import Trainer
from suites.lm_finetuning.batches import Batch
from suites.lm_finetuning.lora import read_lora
from suites.lm_finetuning.patches import AddedLoRA, Patch
from suites.lm_finetuning.task import BATCH, FineTuningTask, LearningTask

ADAPTER_RATES = (1e-3, 3e-3, 1e-2)
"""Learning rates that are tried first where a few new weights train."""
WEIGHT_RATES = (2e-5, 6e-5, 2e-4)
"""Learning rates that are tried first where weights of the base train."""


class Rated(Protocol):
    """A method with a learning rate. rate: for short trainings; rates: to be tried where they are long."""

    @property
    def rate(self) -> float: ...
    @property
    def rates(self) -> tuple[float, ...]: ...


def rates_for(task: FineTuningTask, method: Rated) -> Sequence[float]:
    """What `best_rate` is to try: the method's `rates` at full scale, its `rate` alone elsewhere.

    A training at the embedded scale has 45 steps. A short trial then favours rates that are too high: LoRA's best of
    five steps, 1e-2, leaves more loss than 3e-3 after all of them. So `rate` is chosen once, by whole trainings with
    a seed of their own: `effbench tune`; rates.json says for which methods it was.
    """
    return method.rates if task.scale == "full" else (method.rate,)


def best_rate(
    task: LearningTask,
    start: Callable[[], Learner[Batch]],
    rates: Sequence[float],
    rows: int = BATCH,
    *,
    batches: Callable[[], Sequence[Batch]] | None = None,
    validation: Sequence[Batch] | None = None,
) -> float:
    """The rate that leaves the least loss over the validation examples after a short training (an eighth of the
    tokens); see suites._training.rates. A single one is taken as it is, and nothing is drawn.

    batches, validation: of a problem whose methods learn from, and may see, something else than the task's examples.
    """
    if len(rates) == 1:
        return rates[0]
    searched = (batches or task.searching)()
    held = task.validation() if validation is None else validation
    return search.best_rate(rates, lambda rate: search.loss_after(start(), searched, rate, held, rows))


def rows_within(task: FineTuningTask, start: Callable[[], Learner[Batch]]) -> int:
    """Examples at a time, so that a training step meets the limit on training memory: as many of a batch as do, or 1
    where none does. What any method may do, and so every method does."""
    allowed = task.limits.result.get("training_memory_ratio")
    if allowed is None:
        return BATCH
    rows = BATCH
    while rows > 1 and task.memory_ratio(Trainer(start(), rows)) > allowed:
        rows //= 2
    return rows


def fine_tune(
    task: LearningTask,
    start: Callable[[], Learner[Batch]],
    rates: Sequence[float],
    finish: Callable[[Any], Patch],
    largest: Callable[[], Learner[Batch]] | None = None,
) -> Built:
    """Choose a rate, train with it, and finish.

    start() gives a learner at its beginning, each time a new one. finish(learner) gives what is shipped. largest(): a
    learner that grows, as it is at the end: what the limit on memory is held against.
    """
    rows = rows_within(task, largest or start)
    rate = best_rate(task, start, rates, rows)
    learner = start()
    trainer = Trainer(learner, rows)
    curve = train(trainer, task.training(), rate, validation=task.validation(), seconds=task.seconds)
    return built(task, finish(learner), trainer, curve, rate)


def built(task: FineTuningTask, patch: Patch, trainer: Trainer[Batch], curve: Curve, rate: float) -> Built:
    """A patch, what it was trained on, and how that went."""
    scores = [Score("training_loss", curve.losses)] if curve.losses else []
    if curve.validation:
        scores.append(Score("learning_curve", curve.validation))
    return Built(patch, rig=trainer, scores=scores, figures={"learning_rate": rate} | _reached(curve, task.level))


def merged_lora(learner: Learner[Batch]) -> Patch:
    """What `fine_tune` finishes a LoRA by peft with: the LoRA is shipped, and merged into the base."""
    return AddedLoRA(read_lora(learner.model))


def _reached(curve: Curve, level: float) -> Mapping[str, float]:
    """What it took until the loss over the validation examples was `level` or less; nothing if it never was."""
    for loss, tokens, seconds in zip(curve.validation, curve.sizes, curve.seconds, strict=True):
        if loss <= level:
            return {"tokens_to_level": tokens, "seconds_to_level": seconds}
    return {}
