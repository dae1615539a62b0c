"""Control: the model as it is."""

from dataclasses import dataclass

from torch import nn

from bench.contract import Card, Method
from suites.ctr_prediction.task import ClickTask

OVER = "the dense model is over every limit on the result"


@dataclass(frozen=True)
class Dense(Method[ClickTask]):
    """Hands back the base itself. Every other row's bytes, FLOPs and times are read against it."""

    card = Card(slug="dense", title="Dense", paper="Control: the base model, unchanged", control=True)

    def supports(self, task: ClickTask) -> str | None:
        return OVER if task.limits.result else None

    def build(self, task: ClickTask) -> nn.Module:
        return task.model
