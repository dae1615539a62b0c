"""Unlearning: examples are deleted one by one, exactly."""

import random
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.contract import Score, Setting, Supply
from suites.lm_finetuning import answers
from suites.lm_finetuning.exam import Exam
from suites.lm_finetuning.examples import TASKS
from suites.lm_finetuning.patches import Patch
from suites.lm_finetuning.problem import FineTuning, training_rows, training_supplies
from suites.lm_finetuning.served import ServedPatch
from suites.lm_finetuning.task import LearningTask

DELETIONS = {"tiny": 4, "embedded": 12, "full": 60}
STOPS = 3
"""How often the accuracy is taken while deletions are served, besides before the first."""


@dataclass(kw_only=True)
class UnlearningTask(LearningTask):
    """Learn the examples of the pool so that they can be forgotten."""

    def pool(self) -> list[int]:
        """Numbers of training examples in an order of the seed, as many as the training tokens allow: the list whose
        indices are deleted. Train on parts of it by `rows`."""
        return pool_of(self.listed.tokens, self.seed, self.tokens)


def pool_of(lengths: Sequence[int], seed: int, tokens: int) -> list[int]:
    """The pool of a seed, where the training examples have these lengths and so many tokens may be trained on."""
    found: list[int] = []
    seen = 0
    for number in random.Random(seed).sample(range(len(lengths)), len(lengths)):
        seen += lengths[number]
        if seen > tokens:
            break
        found.append(number)
    return found


class Service(Patch):
    """A patch that forgets. It holds all that it has to train again on; once applied, what it has made of the base
    changes with it."""

    @abstractmethod
    def delete(self, index: int) -> bool:
        """Forget an example, by its index in the pool: True if the model went on without training again. From then on
        it answers as if it had never seen it."""


class ServedService(ServedPatch):
    """A service that answers and forgets."""

    candidate: Service

    def delete(self, index: int) -> bool:
        """See Service."""
        without_training = self.candidate.delete(index)
        self.model.eval()
        self._model_changed()
        return without_training


@dataclass(kw_only=True)
class UnlearningExam(Exam):
    """deletions: indices of the pool, in the order in which they are asked for."""

    deletions: Sequence[int]


class Unlearning(FineTuning[UnlearningTask, UnlearningExam]):
    """Candidates are services."""

    def supplies(self, setting: Setting) -> Mapping[str, Supply]:
        return {**super().supplies(setting), **training_supplies(training_rows(setting))}

    def task(self, setting: Setting) -> UnlearningTask:
        return UnlearningTask(**self.shared(setting))

    def serve(self, candidate: Any, task: UnlearningTask) -> ServedPatch:
        kind = ServedService if isinstance(candidate, Service) else ServedPatch
        return kind(candidate, task.model, task.tokenizer, task.device)

    def exam(self, setting: Setting) -> UnlearningExam:
        lengths = [len(row.ids) for row in training_rows(setting)]
        pool = pool_of(lengths, setting.seed, self.task(setting).tokens)
        stream = random.Random(f"deletions {setting.seed}").sample(range(len(pool)), DELETIONS[setting.scale])
        return UnlearningExam(deletions=stream, **self.asked(setting))

    def evaluate(self, served: ServedService, exam: UnlearningExam) -> Sequence[Score]:
        """`accuracy`: over the evaluation examples before the first deletion and at STOPS moments of the stream, so
        that it says how the service holds out. `served`: 1 for each deletion that needed no training, 0 for others."""

        def examined() -> list[Score]:
            lm = exam.model(served)
            return answers.accuracies({task: answers.right(lm, exam.asked[task]) for task in TASKS})

        taken = [examined()]
        done: list[float] = []
        for number, index in enumerate(exam.deletions, start=1):
            done.append(float(served.delete(index)))
            if number % (len(exam.deletions) // STOPS) == 0:
                taken.append(examined())
        first, last = taken[0], taken[-1]
        lm = exam.model(served)
        return [
            Score("accuracy", [sample for each in taken for sample in each[0].samples]),
            Score("served", done),
            answers.renamed("accuracy_before_deletions", first[0]),
            answers.renamed("accuracy_after_deletions", last[0]),
            *last[1:],
            *answers.forgetting([answers.losses(lm, exam.passages)], exam.before, exam.passages),
        ]
