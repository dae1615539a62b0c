"""What a fine-tuning method sees: the base model, its tokenizer, metered training examples."""

import copy
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from bench.contract import Task
from suites._training.memory import step_memory
from suites._training.trainer import Trainer
from suites.lm_finetuning.batches import Batch, Row, padding, side_by_side
from suites.lm_finetuning.examples import TASKS
from suites.lm_finetuning.learning import AnswerLearner

BATCH = 8
VALIDATION = 16
"""Validation examples of each task: the last of the training split, never trained on."""
SEARCHED = 0.125
"""Part of the training tokens that each trial of a learning rate may have, besides."""


@dataclass(frozen=True)
class Listed:
    """The training examples without their texts, by number: the task of each, and its tokens. Only those that may be
    trained on."""

    tasks: Sequence[str]
    tokens: Sequence[int]

    def of(self, tasks: Sequence[str]) -> list[int]:
        """Numbers of the examples of these tasks, task after task."""
        return [number for task in tasks for number, each in enumerate(self.tasks) if each == task]


@dataclass(kw_only=True)
class FineTuningTask(Task):
    """Adaptation of a causal language model: what all problems of the suite have.

    load_model, load_tokenizer: each is called when it is first asked for. most_tokens: to train on at this scale,
    whatever the operating point allows. level: loss over the validation examples whose reaching is told. seconds: for
    the training, where the operating point fixes time.
    """

    load_model: Callable[[], Any] = field(repr=False)
    load_tokenizer: Callable[[], Any] = field(repr=False)
    most_tokens: int = 65_536
    level: float = 0.0
    seconds: float | None = None

    @cached_property
    def model(self) -> Any:
        """The base, a transformers causal LM in eval mode (bfloat16 at the embedded and full scale, float32 at tiny).
        Never change it: copy it."""
        return self.load_model()

    @cached_property
    def tokenizer(self) -> Any:
        """The base's."""
        return self.load_tokenizer()

    def copied(self) -> Any:
        """A copy of the base with all weights frozen."""
        return copy.deepcopy(self.model).requires_grad_(False)

    @property
    def tokens(self) -> int:
        """Tokens that a method may train on."""
        return min(self.most_tokens, self.limits.supplies.get("training_tokens", self.most_tokens))

    def validation(self, tasks: Sequence[str] = TASKS, batch: int = BATCH) -> list[Batch]:
        """The validation examples, the same for all; not metered, as nothing may be trained on them."""
        numbers = [TASKS.index(task) * VALIDATION + number for task in tasks for number in range(VALIDATION)]
        held = [self._held[number] for number in numbers]
        return [self._batch(held[start : start + batch]) for start in range(0, len(held), batch)]

    @cached_property
    def full_memory(self) -> float:
        """Peak bytes of a training step of full fine-tuning, over the batch that candidates are weighed on."""
        return self._memory(Trainer(AnswerLearner(self.copied().requires_grad_(True))))

    def memory_ratio(self, trainer: Trainer[Batch]) -> float:
        """Peak bytes of a training step, as the operating points limit them: to full fine-tuning's."""
        return self._memory(trainer) / self.full_memory

    def _memory(self, trainer: Trainer[Batch]) -> float:
        return step_memory(trainer, self.validation()[0])["total"]

    @cached_property
    def _held(self) -> list[Row]:
        return [Row(*each) for each in self.supplies["validation"].take(list(range(len(TASKS) * VALIDATION)))]

    def _batch(self, rows: Sequence[Row]) -> Batch:
        return side_by_side(rows, padding(self.tokenizer), self.device)


@dataclass(kw_only=True)
class LearningTask(FineTuningTask):
    """A task with training examples."""

    @cached_property
    def listed(self) -> Listed:
        """All training examples."""
        tasks, tokens = self.supplies["listing"].take(None)
        return Listed(list(tasks), [int(each) for each in tokens])

    def rows(self, numbers: Sequence[int], use: str = "training") -> list[Row]:
        """Training examples by number, metered as "<use>_tokens" ("training" or "search")."""
        return [Row(*each) for each in self.supplies[use].take(list(numbers))]

    def training(self, tasks: Sequence[str] = TASKS, batch: int = BATCH) -> list[Batch]:
        """Batches in an order drawn from the seed, the tasks mixed, for the tokens that may be trained on.

        Metered as "training_tokens", without the padding. Where there are fewer examples than tokens they come again.
        """
        return self._batches("training", tasks, batch, self.tokens)

    def searching(self, tasks: Sequence[str] = TASKS, batch: int = BATCH) -> list[Batch]:
        """The first batches of `training`, for one trial of a learning rate; metered as "search_tokens"."""
        return self._batches("search", tasks, batch, int(SEARCHED * self.tokens))

    def _batches(self, use: str, tasks: Sequence[str], size: int, allowed: int) -> list[Batch]:
        pool = self.listed.of(tasks)
        rng = random.Random(self.seed)
        found: list[Batch] = []
        seen = 0
        while True:
            for start in range(0, len(order := rng.sample(pool, len(pool))) - size + 1, size):
                chosen = order[start : start + size]
                tokens = sum(self.listed.tokens[number] for number in chosen)
                if seen + tokens > allowed and (found or use == "training"):
                    return found
                seen += tokens
                found.append(self._batch(self.rows(chosen, use)))
