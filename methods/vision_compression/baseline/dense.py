"""Control: the model as it is."""

from dataclasses import dataclass

from torch import nn

from bench.contract import Card, Method
from suites.vision_compression.task import CompressionTask


@dataclass(frozen=True)
class Dense(Method[CompressionTask]):
    """Hands back the base itself. Every other row's bytes, FLOPs and times are read against it."""

    card = Card(slug="dense", title="Dense", paper="Control: the base model, unchanged", control=True)

    def supports(self, task: CompressionTask) -> str | None:
        return "the dense model is over every limit on the result" if task.limits.result else None

    def build(self, task: CompressionTask) -> nn.Module:
        return task.model
