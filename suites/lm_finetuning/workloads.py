"""What is timed: a training step against one of full fine-tuning, and the adapted model against the base."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from torch import Tensor

from bench.contract import Step, Workload
from suites._language.workloads import workloads as language_workloads
from suites._training.training import answer_loss
from suites.lm_finetuning.batches import Batch
from suites.lm_finetuning.candidate import Tuned
from suites.lm_finetuning.task import FineTuningTask

TOLERANCE = 0.1
"""How far the loss of a timed step may be from the scored model's over the same batch, in nats."""


def workloads(task: FineTuningTask, prompt: int, decoded: int) -> Sequence[Workload]:
    """The training step where the candidate has one, then reading and decoding (batch 1) by the adapted model."""
    speaking = [_of_the_model(w) for w in language_workloads(task, prompt, decoded, (prompt, decoded))[:2]]
    return [_step(task), *speaking] if task.track == "adapt" else speaking


def _step(task: FineTuningTask) -> Workload:
    """One more training step over a batch of validation examples; phase: step."""
    batches = task.validation()

    def trial(candidate: Tuned, rng: np.random.Generator) -> Iterator[Step]:
        batch = batches[int(rng.integers(len(batches)))]
        trainer = candidate.trainer
        if trainer is None:
            raise RuntimeError("this candidate was not trained: it has no training step to time")
        yield Step("step", trainer.probe, units=batch.tokens, inputs=(batch,), check=_as_scored(candidate, batch))

    return Workload("train", trial, unit="token", min_trials=7)


def _as_scored(candidate: Tuned, batch: Batch) -> Callable[[Tensor], str | None]:
    """The loss that the step found must be that of the model that is scored."""

    def check(loss: Tensor) -> str | None:
        scored = float(answer_loss(candidate.model, batch))
        if abs(float(loss) - scored) <= TOLERANCE + 0.1 * scored:
            return None
        return f"its loss is {float(loss):.3f}; the scored model's over the same examples is {scored:.3f}"

    return check


def _of_the_model(workload: Workload) -> Workload:
    def trial(candidate: Tuned, rng: np.random.Generator) -> Iterator[Any]:
        return workload.trial(candidate.model, rng)

    return replace(workload, trial=trial, at_batch=None)
