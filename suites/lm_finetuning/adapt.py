"""Adaptation: all tasks are learned at once, under a limit on training memory, on what is shipped, or on time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.contract import Score, Setting, Supply, Workload
from suites.lm_finetuning.exam import Exam
from suites.lm_finetuning.problem import FineTuning, training_rows, training_supplies
from suites.lm_finetuning.served import ServedPatch
from suites.lm_finetuning.task import LearningTask
from suites.lm_finetuning.workloads import training


@dataclass(kw_only=True)
class AdaptationTask(LearningTask):
    """Learn all tasks from the examples."""


class Adaptation(FineTuning[AdaptationTask, Exam]):
    """Its training step is timed against one of full fine-tuning."""

    def supplies(self, setting: Setting) -> Mapping[str, Supply]:
        return {**super().supplies(setting), **training_supplies(training_rows(setting))}

    def task(self, setting: Setting) -> AdaptationTask:
        return AdaptationTask(**self.shared(setting))

    def exam(self, setting: Setting) -> Exam:
        return Exam(**self.asked(setting))

    def evaluate(self, served: ServedPatch, exam: Exam) -> Sequence[Score]:
        exam.losses = [served.loss(*batch.arrays) for batch in exam.held]
        return super().evaluate(served, exam)

    def workloads(self, exam: Exam) -> Sequence[Workload]:
        return [training(exam), *super().workloads(exam)]
