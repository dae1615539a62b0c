"""What a fine-tuning method sees: the base model, its tokenizer, metered training examples, the track's own input."""

import copy
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from bench.contract import Task
from suites._training.training import Learner, Trainer
from suites.lm_finetuning.batches import Batch, collate, encode
from suites.lm_finetuning.examples import TASKS, Example
from suites.lm_finetuning.faults import fault
from suites.lm_finetuning.preferences import Preferences, joined

Track = Literal["adapt", "merge", "transfer", "unlearn", "repair"]

BATCH = 8
VALIDATION = 16
"""Validation examples of each task: the last of the training split, never trained on."""
SEARCHED = 0.125
"""Part of the training tokens that each trial of a learning rate may have, besides."""


@dataclass(kw_only=True)
class FineTuningTask(Task):
    """Adaptation of a causal language model.

    model: the base, a transformers causal LM in eval mode (bfloat16 at the embedded and full scale, float32 at tiny);
        never change it: copy it. tokenizer: its tokenizer.
    track: "adapt" (learn all tasks at once) or one of the others, with inputs of their own in `given`.
    examples: of each task, the training split. most_tokens: to train on at this scale, whatever the operating point
        allows. seconds: for the training, where the operating point fixes time.
    """

    model: Any
    tokenizer: Any
    track: Track = "adapt"
    examples: Mapping[str, Sequence[Example]] = field(repr=False)
    most_tokens: int = 65_536
    seconds: float | None = None
    given: Any = field(default=None, repr=False)

    @property
    def tokens(self) -> int:
        """Tokens that a method may train on."""
        return min(self.most_tokens, self.limits.supplies.get("training_tokens", self.most_tokens))

    def training(self, tasks: Sequence[str] = TASKS, batch: int = BATCH) -> list[Batch]:
        """Batches in an order drawn from the seed, the tasks mixed, for the tokens that may be trained on.

        Metered as "training_tokens", without the padding. Where there are fewer examples than tokens they come again.
        """
        return self._batches("training", tasks, batch, self.tokens)

    def searching(self, tasks: Sequence[str] = TASKS, batch: int = BATCH) -> list[Batch]:
        """The first batches of `training`, for one trial of a learning rate; metered as "search_tokens"."""
        return self._batches("search", tasks, batch, int(SEARCHED * self.tokens))

    def validation(self, tasks: Sequence[str] = TASKS, batch: int = BATCH) -> list[Batch]:
        """The validation examples, the same for all; not metered, as nothing may be trained on them."""
        held = [example for task in tasks for example in self.examples[task][-VALIDATION:]]
        return [collate(self.tokenizer, held[i : i + batch], self.device) for i in range(0, len(held), batch)]

    def _batches(self, use: str, tasks: Sequence[str], size: int, allowed: int) -> list[Batch]:
        pool = [example for task in tasks for example in self.examples[task][:-VALIDATION]]
        rng = random.Random(self.seed)
        found: list[Batch] = []
        seen = 0
        while True:
            for start in range(0, len(order := rng.sample(pool, len(pool))) - size + 1, size):
                made = collate(self.tokenizer, order[start : start + size], self.device)
                if seen + made.tokens > allowed and (found or use == "training"):
                    return found
                seen += made.tokens
                self.draw(f"{use}_tokens", made.tokens)
                found.append(made)

    def pool(self) -> list[Example]:
        """All training examples in an order of the seed, as many as the training tokens allow: the list whose indices
        the track `unlearn` deletes. Train on parts of it by `batches_of`."""
        every = [example for task in TASKS for example in self.examples[task][:-VALIDATION]]
        order = random.Random(self.seed).sample(every, len(every))
        found: list[Example] = []
        seen = 0
        for example in order:
            seen += len(encode(self.tokenizer, example)[0])
            if seen > self.tokens:
                break
            found.append(example)
        return found

    def batches_of(self, chosen: Sequence[Example], use: str = "training", batch: int = BATCH) -> list[Batch]:
        """These examples in their order, metered as "<use>_tokens" ("training", or "retraining" for deletions)."""
        found = [collate(self.tokenizer, chosen[i : i + batch], self.device) for i in range(0, len(chosen), batch)]
        for made in found:
            self.draw(f"{use}_tokens", made.tokens)
        return found

    def preferences(
        self, *, rejected: bool, general: bool, use: str = "training", batch: int = BATCH
    ) -> list[Preferences]:
        """For the track `repair`: the examples that the faulty model answers wrongly, with right answers.

        rejected: with the wrong answers beside them. general: with as many examples of other tasks. All that is there
        is metered as "<use>_tokens": as much as may be trained on, or an eighth of it if use is "search".
        """
        known = {name: self.examples[name][:-VALIDATION] for name in TASKS}
        wrong = {example: made for name in TASKS for example in known[name] if (made := fault(example))}
        tasks = {example.task for example in wrong}
        others = [example for name in TASKS for example in known[name] if name not in tasks]
        rng = random.Random(self.seed)
        allowed = self.tokens if use == "training" else int(SEARCHED * self.tokens)
        found: list[Preferences] = []
        seen, size = 0, min(batch, len(wrong), len(others))
        while True:
            order = rng.sample(list(wrong), len(wrong))
            for start in range(0, len(order) - size + 1, size):
                chosen = order[start : start + size]
                beside = rng.sample(others, size)
                made = joined(
                    collate(self.tokenizer, chosen, self.device),
                    collate(self.tokenizer, [wrong[each] for each in chosen], self.device) if rejected else None,
                    collate(self.tokenizer, beside, self.device) if general else None,
                )
                if seen + made.read > allowed:
                    return found
                seen += made.read
                self.draw(f"{use}_tokens", made.read)
                found.append(made)

    def copied(self) -> Any:
        """A copy of the base with all weights frozen."""
        return copy.deepcopy(self.model).requires_grad_(False)

    @cached_property
    def full_memory(self) -> float:
        """Peak bytes of a training step of full fine-tuning, over the batch that candidates are weighed on."""
        from suites._training.memory import step_memory

        return step_memory(Trainer(Learner(self.copied().requires_grad_(True))), self.validation()[0])["total"]

    def memory_ratio(self, trainer: Trainer) -> float:
        """Peak bytes of a training step, as the operating points limit them: to full fine-tuning's."""
        from suites._training.memory import step_memory

        return step_memory(trainer, self.validation()[0])["total"] / self.full_memory
