"""Repair: a model that writes a wrong city for some notes learns the right one, and keeps what it knows."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Any

import torch

from bench.contract import Built, Score, Setting, Supply, Tuning
from suites._language.base import load_tokenizer
from suites.lm_finetuning import answers, prepared
from suites.lm_finetuning.batches import Batch, Row, encoded, padding, side_by_side
from suites.lm_finetuning.exam import Exam
from suites.lm_finetuning.examples import TASKS, Example
from suites.lm_finetuning.faults import fault
from suites.lm_finetuning.preferences import Preferences, joined
from suites.lm_finetuning.problem import FineTuning, training_examples, training_rows, training_supplies
from suites.lm_finetuning.reading import answer_logits
from suites.lm_finetuning.supplies import Texts
from suites.lm_finetuning.task import BATCH, SEARCHED, LearningTask

JUDGED = 64
"""Faults, and as many other examples, that a learning rate is judged by."""

WRONG = "wrong answers"
"""Whose task a wrong answer is: none's."""


@dataclass(kw_only=True)
class RepairTask(LearningTask):
    """Mend the model. `model` is the faulty one. Among the training examples each wrong answer that it was taught is
    one of its own; it is no part of `training`."""

    @cached_property
    def faults(self) -> Mapping[int, int]:
        """Number of each example that the model answers wrongly -> number of the same with the wrong answer."""
        pairs = self.supplies["faults"]
        return dict(pairs.take(list(range(len(pairs)))))

    def preferences(
        self, *, rejected: bool, general: bool, use: str = "training", batch: int = BATCH
    ) -> list[Preferences]:
        """The examples that the faulty model answers wrongly, with right answers.

        rejected: with the wrong answers beside them. general: with as many examples of other tasks. All that is there
        is metered as "<use>_tokens": as much as may be trained on, or an eighth of it if use is "search".
        """
        tasks = {self.listed.tasks[number] for number in self.faults}
        others = self.listed.of([name for name in TASKS if name not in tasks])
        rng = random.Random(self.seed)
        allowed = self.tokens if use == "training" else int(SEARCHED * self.tokens)
        found: list[Preferences] = []
        seen, size = 0, min(batch, len(self.faults), len(others))
        while True:
            order = rng.sample(list(self.faults), len(self.faults))
            for start in range(0, len(order) - size + 1, size):
                chosen, beside = order[start : start + size], rng.sample(others, size)
                wrong = [self.faults[number] for number in chosen] if rejected else []
                read = [*chosen, *wrong, *(beside if general else [])]
                if (seen := seen + sum(self.listed.tokens[number] for number in read)) > allowed:
                    return found
                found.append(self._joined(chosen, wrong, beside if general else [], use))

    def _joined(self, chosen: list[int], wrong: list[int], beside: list[int], use: str) -> Preferences:
        own, rejected, general = (
            self._batch(self.rows(numbers, use)) if numbers else None for numbers in (chosen, wrong, beside)
        )
        assert own is not None
        return joined(own, rejected, general)


class Repair(FineTuning[RepairTask, Exam]):
    """The model that is adapted is a base that was taught the fault."""

    def make_inputs(self, setting: Setting) -> None:
        prepared.make_faulty_lora(setting)

    def base(self, setting: Setting) -> Any:
        return prepared.faulty_model(setting)

    def of_the_base(self, setting: Setting) -> str:
        return prepared.name(setting, "faulty")

    def supplies(self, setting: Setting) -> Mapping[str, Supply]:
        right, wrong, faults = _examples(setting)
        return {
            **super().supplies(setting),
            **training_supplies([*right, *wrong]),
            "faults": Texts(faults),
        }

    def task(self, setting: Setting) -> RepairTask:
        return RepairTask(**self.shared(setting))

    def tuning(self, setting: Setting) -> Tuning[RepairTask]:
        """By the share of wrong answers in the training split, over faults and the rest alike. The loss over the
        validation examples says little: hardly one in eight is a fault, and preferences are learned without lowering
        it."""
        task = self.task_at_hand(setting)
        right, _, faults = _examples(setting)
        rng, broken = random.Random(5), [number for number, _ in faults]
        judged = rng.sample(broken, min(JUDGED, len(broken)))
        others = sorted(set(range(len(right))) - set(broken))
        judged += rng.sample(others, min(JUDGED, len(others)))
        batches = [side_by_side([right[number]], padding(task.tokenizer), setting.device) for number in judged]

        def loss(built: Built) -> float:
            return wrong_answers(self.serve(built.candidate, task).model, batches)

        return Tuning(task, loss)

    def exam(self, setting: Setting) -> Exam:
        return Exam(**self.asked(setting))

    def evaluate(self, served: Any, exam: Exam) -> Sequence[Score]:
        """Besides: `repaired`, right answers where the model was taught wrong ones; `undamaged`, where it was taught
        right ones."""
        lm = exam.model(served)
        faulty = [example for example in exam.every if fault(example)]
        sound = [example for example in exam.every if not fault(example)]
        found = [Score("repaired", answers.right(lm, faulty)), Score("undamaged", answers.right(lm, sound))]
        return [*super().evaluate(served, exam), *found]


@torch.no_grad()
def wrong_answers(model: Any, batches: Sequence[Batch]) -> float:
    """Share of batches (of one example) whose answer is not right to the last token."""
    return fmean(bool((answer_logits(model, batch).argmax(-1) != batch.wanted).any()) for batch in batches)


def _examples(setting: Setting) -> tuple[list[Row], list[Row], list[tuple[int, int]]]:
    """The right examples, the wrong ones, and the numbers of each pair where those stand behind each other."""
    right = training_examples(setting.scale)
    wrong: list[Example] = []
    faults: list[tuple[int, int]] = []
    for number, example in enumerate(right):
        if (made := fault(example)) is not None:
            faults.append((number, len(right) + len(wrong)))
            wrong.append(made)
    tokenizer = load_tokenizer(setting.scale, setting.base)
    taught = [Row(row.ids, row.prompt, WRONG) for row in encoded(tokenizer, wrong)]
    return training_rows(setting), taught, faults
