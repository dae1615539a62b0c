"""What the judge asks, with the answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from suites._language.evaluation.doubts import Kept
from suites.lm_finetuning.batches import Batch
from suites.lm_finetuning.examples import TASKS, Example


@dataclass(kw_only=True)
class Exam:
    """tokenizer: the base's. asked: examples of each task. passages: ordinary text; before:
    the base's losses over it. held: the validation batches, which a training step is timed on; losses: of the model
    that was examined, over each of them, once that is known.
    kept: some of the answers of the model that was asked last, as they were given.
    """

    scale: str
    tokenizer: Any
    asked: Mapping[str, Sequence[Example]]
    passages: Sequence[str]
    before: Sequence[float]
    held: Sequence[Batch]
    rng: np.random.Generator
    losses: list[float] = field(default_factory=list)
    kept: Kept = field(init=False)

    @property
    def dtype(self) -> str:
        """Of the base's weights."""
        return "float32" if self.scale == "tiny" else "bfloat16"

    @property
    def every(self) -> list[Example]:
        """All that is asked."""
        return [example for task in TASKS for example in self.asked[task]]

    def model(self, served: Any) -> Any:
        """lm-eval's model over what is served. From now on its answers are kept, and those of another are not."""
        from suites._language.evaluation.evaluator import EffbenchLM

        self.kept = Kept(self.rng)
        return EffbenchLM(served, self.tokenizer, kept=self.kept)
