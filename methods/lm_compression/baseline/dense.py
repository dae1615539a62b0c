"""Control: the model as it is."""

from dataclasses import dataclass
from typing import Any

from bench.contract import Card, Limits, Method
from suites.lm_compression.task import CausalLMTask


@dataclass(frozen=True)
class Dense(Method[CausalLMTask]):
    """Hands back the base model itself. Every other row's quality, bytes, FLOPs and times are read against it."""

    card = Card(
        slug="dense",
        suite="lm-compression",
        title="Dense",
        paper="Control: the base model, unchanged",
        control=True,
    )

    def supports(self, task: CausalLMTask, limits: Limits) -> str | None:
        return "the dense model is over every limit on the result" if limits.result else None

    def build(self, task: CausalLMTask, limits: Limits) -> Any:
        return task.model
