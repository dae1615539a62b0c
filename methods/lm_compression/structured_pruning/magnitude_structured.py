"""Control: the same structures as FLAP, by the size of their weights."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from bench.contract import Card, Method
from methods.lm_compression.structured_pruning._cut import kv_groups, layers
from methods.lm_compression.structured_pruning._order import cut_to_limits, ranking, unmet
from suites.lm_compression.task import CausalLMTask


@dataclass(frozen=True)
class MagnitudeStructured(Method[CausalLMTask]):
    """Removes the KV groups and MLP neurons with the smallest weights: squared norm, standardised per layer.

    Sees no data and adds no bias. Everything else is as in `flap`: the same units, one threshold over the model.
    """

    card = Card(
        slug="magnitude-structured",
        title="Magnitude, heads and neurons",
        paper="Control: heads and neurons with the smallest weights",
        control=True,
    )

    block: int = 8

    def supports(self, task: CausalLMTask) -> str | None:
        return unmet(task, self.block)

    def build(self, task: CausalLMTask) -> nn.Module:
        attention = [query_channel_norms(layer.self_attn) for layer in layers(task.model)]
        mlp = [neuron_norms(layer.mlp) for layer in layers(task.model)]
        return cut_to_limits(task, ranking(task.model, attention, mlp, self.block))


def neuron_norms(mlp: Any) -> Tensor:
    """Squared norm of all weights of each neuron, float64 (neurons,)."""
    return _squares(mlp.gate_proj, 1) + _squares(mlp.up_proj, 1) + _squares(mlp.down_proj, 0)


def query_channel_norms(attention: Any) -> Tensor:
    """Squared norm of the weights of each query channel, float64 (query channels,).

    Keys and values are shared by the query heads of a group, in equal parts: a group's channels sum to its norm.
    """
    groups, size = kv_groups(attention), attention.head_dim
    own = _squares(attention.q_proj, 1) + _squares(attention.o_proj, 0)
    shared = (_squares(attention.k_proj, 1) + _squares(attention.v_proj, 1)).view(groups, 1, size)
    queries = own.view(groups, -1, size)
    return (queries + shared / queries.shape[1]).flatten()


def _squares(linear: nn.Linear, axis: int) -> Tensor:
    return linear.weight.detach().double().square().sum(axis).cpu()
