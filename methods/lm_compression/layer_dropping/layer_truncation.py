"""Control: the first blocks of the model, and no others."""

from dataclasses import dataclass

from torch import nn

from bench.contract import Card, Method
from methods.lm_compression.layer_dropping._limits import shortest_prefix, unmet
from methods.lm_compression.layer_dropping._sublayers import blocks, drop, sublayers, whole_block
from suites.lm_compression.task import CausalLMTask


@dataclass(frozen=True)
class LayerTruncation(Method[CausalLMTask]):
    """Cuts the model off after its first blocks, as many as the limits allow; final norm and head follow them.

    What a recursive model of K blocks is compared with: the same blocks, run once.
    """

    card = Card(
        slug="layer-truncation",
        title="First blocks only",
        paper="Control: the model cut off after its first blocks",
        control=True,
    )

    def supports(self, task: CausalLMTask) -> str | None:
        return unmet(task, sublayers(task.model))

    def build(self, task: CausalLMTask) -> nn.Module:
        last_first = [whole_block(index) for index in reversed(range(len(blocks(task.model))))]
        candidate: nn.Module = drop(task.model, shortest_prefix(task, last_first))
        return candidate
