"""Control: the model as it is."""

from dataclasses import dataclass
from typing import Any

from bench.contract import Card, Method
from suites.lm_compression.task import CausalLMTask


@dataclass(frozen=True)
class Dense(Method[CausalLMTask]):
    """Hands back the base model itself. Every other row's quality, bytes, FLOPs and times are read against it."""

    card = Card(
        slug="dense",
        title="Dense",
        paper="Control: the base model, unchanged",
        control=True,
    )

    def supports(self, task: CausalLMTask) -> str | None:
        return "the dense model is over every limit on the result" if task.limits.result else None

    def build(self, task: CausalLMTask) -> Any:
        return task.model
