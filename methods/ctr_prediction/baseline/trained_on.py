"""Control: the model as it is, trained on as long as all that are made smaller."""

from dataclasses import dataclass

from torch import nn

from bench.contract import Card, Method
from methods.ctr_prediction._parts import copied
from methods.ctr_prediction._recovery import recover
from methods.ctr_prediction.baseline.dense import OVER
from suites.ctr_prediction.task import ClickTask


@dataclass(frozen=True)
class TrainedOn(Method[ClickTask]):
    """The base, trained on: what the training gives by itself.

    rate: the largest of the schedule.
    """

    card = Card(
        slug="trained-on",
        title="Dense, trained on",
        paper="Control: the base model, trained for as many passes again",
        control=True,
        stochastic=True,
    )

    rate: float = 1e-2

    def supports(self, task: ClickTask) -> str | None:
        return OVER if task.limits.result else None

    def build(self, task: ClickTask) -> nn.Module:
        model = copied(task.model)
        recover(task, model, self.rate)
        return model
