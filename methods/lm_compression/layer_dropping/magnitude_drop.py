"""Control: the blocks or sub-layers with the smallest weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import nn

from bench.contract import Card, Method
from methods.lm_compression.layer_dropping._limits import shortest_prefix, unmet
from methods.lm_compression.layer_dropping._sublayers import Sublayer, blocks, drop, sublayers, whole_block
from suites.lm_compression.task import CausalLMTask


@dataclass(frozen=True)
class MagnitudeDrop(Method[CausalLMTask]):
    """Drops the units with the smallest weights, by their mean square, until the limits are met. Sees no data.

    unit: a whole "block", or a "sublayer": attention and MLP each for itself, in one ranking.
    """

    card = Card(
        slug="magnitude-drop",
        title="Magnitude, blocks and sub-layers",
        paper="Control: blocks or sub-layers with the smallest weights",
        control=True,
    )
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "block": {"unit": "block"},
        "sublayer": {"unit": "sublayer"},
    }

    unit: Literal["block", "sublayer"] = "block"

    def supports(self, task: CausalLMTask) -> str | None:
        return unmet(task, sublayers(task.model))

    def build(self, task: CausalLMTask) -> nn.Module:
        model = task.model
        if self.unit == "block":
            units = [whole_block(index) for index in range(len(blocks(model)))]
        else:
            units = [(sublayer,) for sublayer in sublayers(model)]
        # Sorting is stable: units of equal size go in the order of the model.
        ranking = sorted(units, key=lambda unit: mean_square(model, unit))
        return drop(model, shortest_prefix(task, ranking))


def module_of(model: Any, sublayer: Sublayer) -> nn.Module:
    """The attention or the MLP itself, without its norm."""
    block: Any = blocks(model)[sublayer.block]
    module: nn.Module = block.self_attn if sublayer.kind == "attention" else block.mlp
    return module


def mean_square(model: Any, unit: tuple[Sublayer, ...]) -> float:
    """Mean square of the weights of a unit's matrices: it does not grow with their size."""
    weights = [
        part.weight.detach().double()
        for sublayer in unit
        for part in module_of(model, sublayer).modules()
        if isinstance(part, nn.Linear)
    ]
    return sum(weight.square().sum().item() for weight in weights) / sum(weight.numel() for weight in weights)
