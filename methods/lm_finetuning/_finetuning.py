"""The same search for a learning rate and the same training for every method that fine-tunes."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from torch import Tensor

from suites._training.training import Learner, Trainer, train, validation_loss
from suites.lm_finetuning.batches import Batch
from suites.lm_finetuning.candidate import Tuned
from suites.lm_finetuning.lora import merged, read_lora, updates
from suites.lm_finetuning.task import BATCH, FineTuningTask

ADAPTER_RATES = (1e-3, 3e-3, 1e-2)
"""Learning rates that are tried first where a few new weights train."""
WEIGHT_RATES = (2e-5, 6e-5, 2e-4)
"""Learning rates that are tried first where weights of the base train."""
BEYOND = 2
"""How many more may be tried beyond either end of a list whose best is at its end, so that nobody's list decides."""


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
    a seed of their own: methods/learning_rates.py, whose file says for which methods it was.
    """
    return method.rates if task.scale == "full" else (method.rate,)


def best_rate(
    task: FineTuningTask,
    start: Callable[[], Learner],
    rates: Sequence[float],
    rows: int = BATCH,
    *,
    batches: Callable[[], Sequence[Batch]] | None = None,
    validation: Sequence[Batch] | None = None,
) -> float:
    """The rate that leaves the least loss over the validation examples after a short training (an eighth of the
    tokens). A rate that diverges is out; raises ValueError if all do.

    rates: tried first, in ascending order; a single one is taken as it is. While the best is the first or the last, the
    list goes on beyond it with the same step, at most BEYOND times on each side.
    batches, validation: of a track whose methods learn from, and may see, something else than the task's examples.
    """
    if len(rates) == 1:
        return rates[0]
    searched = (batches or task.searching)()
    validation = task.validation() if validation is None else validation

    def loss(rate: float) -> float:
        learner = start()
        try:
            train(Trainer(learner, rows), searched, rate)
        except FloatingPointError:
            return math.inf
        return validation_loss(learner, validation)

    found = {rate: loss(rate) for rate in rates}
    for last, inner in ((rates[0], rates[1]), (rates[-1], rates[-2])):
        end, step = last, last / inner
        for _ in range(BEYOND):
            too_much = step > 1 and found[end] == math.inf
            if too_much or found[end] > min(found.values()):
                break
            end = _rounded(end * step)
            found[end] = loss(end)
    best = min(found, key=found.__getitem__)
    if found[best] == math.inf:
        raise ValueError(f"the training diverges at every learning rate of {', '.join(map(str, found))}")
    return best


def _rounded(rate: float) -> float:
    """To two digits: rates are written so."""
    return float(f"{rate:.1e}")


def rows_within(task: FineTuningTask, start: Callable[[], Learner]) -> int:
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
    task: FineTuningTask,
    start: Callable[[], Learner],
    rates: Sequence[float],
    finish: Callable[[Any], tuple[Any, Mapping[str, Tensor]]],
    largest: Callable[[], Learner] | None = None,
) -> Tuned:
    """Choose a rate, train with it, and finish.

    start() gives a learner at its beginning, each time a new one. finish(learner) gives the model that is scored and
    what is shipped. largest(): a learner that grows, as it is at the end: what the limit on memory is held against.
    """
    rows = rows_within(task, largest or start)
    rate = best_rate(task, start, rates, rows)
    learner = start()
    trainer = Trainer(learner, rows)
    curve = train(trainer, task.training(), rate, validation=task.validation(), seconds=task.seconds)
    model, shipped = finish(learner)
    return Tuned(model=model, shipped=shipped, trainer=trainer, rate=rate, curve=curve)


def merged_lora(task: FineTuningTask) -> Callable[[Any], tuple[Any, Mapping[str, Tensor]]]:
    """What `fine_tune` finishes a LoRA by peft with: the base with its updates merged in; the LoRA is shipped."""

    def finish(learner: Learner) -> tuple[Any, Mapping[str, Tensor]]:
        found = read_lora(learner.model)
        return merged(task.model, updates(found)), found.tensors

    return finish
