"""Control: the students without a teacher."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from bench.contract import Built, Card, Method
from methods.signal_recognition.distillation._students import Kind, train_student, unfit
from suites.signal_recognition.learning import SignalLearner
from suites.signal_recognition.task import SignalTask


@dataclass(frozen=True)
class LabelsOnly(Method[SignalTask]):
    """The network and the training of SKD, by the cross entropy of the labels alone.

    student, rate: as of SKD.
    """

    card = Card(
        slug="labels-only",
        title="Students by labels only",
        paper="Control: the students of SKD without distillation",
        control=True,
        stochastic=True,
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
        return train_student(task, self.student, SignalLearner, self.rate)
