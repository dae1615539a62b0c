"""Control: what a teacher says, learnt without a temperature and without labels."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from bench.contract import Built, Card, Method
from methods.signal_recognition.distillation._soft_targets import DistilledLearner
from methods.signal_recognition.distillation._students import Kind, train_student, unfit
from suites.signal_recognition.task import SignalTask


@dataclass(frozen=True)
class PlainDistillation(Method[SignalTask]):
    """The student's probabilities are brought to the teacher's, as they are: SKD at a temperature of 1 and with nothing
    of the labels, so the two things that SKD has besides a teacher.

    student, rate: as of SKD.
    """

    card = Card(
        slug="plain-kd",
        title="Plain distillation",
        paper="Control: the teacher's probabilities as the only targets",
        control=True,
        stochastic=True,
        notes="Hinton et al. (2015) have a temperature and labels too, and are then what we read SKD to be.",
    )
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "cnn": {"student": "cnn"},
        "mobilenet": {"student": "mobilenet"},
    }

    student: Kind = "cnn"
    rate: float = 1e-2

    def supports(self, task: SignalTask) -> str | None:
        return unfit(task, self.student)

    def build(self, task: SignalTask) -> Built:
        learner = partial(DistilledLearner, teacher=task.teacher, temperature=1.0, alpha=1.0)
        return train_student(task, self.student, learner, self.rate)
