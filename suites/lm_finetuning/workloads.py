"""What is timed: the adapted model against the base, and a training step against one of full fine-tuning."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bench.contract import Step, Workload
from suites._language.workloads import Speaking
from suites.lm_finetuning.exam import Exam

TOLERANCE = 0.1
"""How far the loss of a timed step may be from the scored model's over the same batch, in nats."""


def speaking(exam: Exam, prompt: int, decoded: int) -> Sequence[Workload]:
    """Reading and decoding (batch 1) by the adapted model."""
    both = Speaking(len(exam.tokenizer), exam.dtype).workloads(prompt, decoded, (prompt, decoded))[:2]
    return [replace(workload, at_batch=None) for workload in both]


def training(exam: Exam) -> Workload:
    """One more training step over a batch of validation examples; phase: step."""

    def trial(rng: np.random.Generator) -> Iterator[Step]:
        number = int(rng.integers(len(exam.held)))
        batch = exam.held[number]
        yield Step("step", "step", batch.arrays, units=batch.tokens, check=_as_scored(exam, number))

    return Workload("train", trial, unit="token", of="rig", min_trials=7)


def _as_scored(exam: Exam, number: int) -> Callable[[Any, Any], str | None]:
    """The loss that the step found must be that of the model that was examined."""

    def check(loss: Any, served: Any) -> str | None:
        scored = exam.losses[number]
        if abs(float(loss) - scored) <= TOLERANCE + 0.1 * scored:
            return None
        return f"its loss is {float(loss):.3f}; the scored model's over the same examples is {scored:.3f}"

    return check
