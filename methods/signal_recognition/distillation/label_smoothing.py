"""Control: soft targets without a teacher, by label smoothing (Szegedy et al., 2015)."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bench.contract import Built, Card, Method
from methods.signal_recognition.distillation._students import Kind, train_student, unfit
from suites.signal_recognition.learning import SignalBatch, SignalLearner
from suites.signal_recognition.task import SignalTask


class SmoothedLearner(SignalLearner):
    """Learns labels of which the share `smoothing` belongs to all classes alike."""

    def __init__(self, model: nn.Module, smoothing: float) -> None:
        super().__init__(model)
        self.smoothing = smoothing

    def loss(self, batch: SignalBatch) -> Tensor:
        return cross_entropy(self.model(batch.signals), batch.labels, label_smoothing=self.smoothing)


@dataclass(frozen=True)
class LabelSmoothing(Method[SignalTask]):
    """The network and the training of SKD; softness comes from the labels and not from a teacher.

    student, rate: as of SKD. smoothing: share of a label that belongs to all classes alike.
    """

    card = Card(
        slug="label-smoothing",
        title="Students by smoothed labels",
        paper="Control: Szegedy et al., 2015. Rethinking the Inception Architecture for Computer Vision",
        url="https://arxiv.org/abs/1512.00567",
        control=True,
        stochastic=True,
    )
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "cnn": {"student": "cnn"},
        "mobilenet": {"student": "mobilenet"},
    }

    student: Kind = "cnn"
    smoothing: float = 0.1
    rate: float = 1e-2

    def supports(self, task: SignalTask) -> str | None:
        return unfit(task, self.student)

    def build(self, task: SignalTask) -> Built:
        return train_student(task, self.student, partial(SmoothedLearner, smoothing=self.smoothing), self.rate)
