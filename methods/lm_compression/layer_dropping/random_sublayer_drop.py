"""Control: attention and MLP sub-layers drawn at random."""

from dataclasses import dataclass

import torch
from torch import nn

from bench.contract import Card, Method
from methods.lm_compression.layer_dropping._limits import shortest_prefix, unmet
from methods.lm_compression.layer_dropping._sublayers import drop, sublayers
from suites.lm_compression.task import CausalLMTask


@dataclass(frozen=True)
class RandomSublayerDrop(Method[CausalLMTask]):
    """Drops attention and MLP sub-layers in an order drawn uniformly from the seed, until the limits are met."""

    card = Card(
        slug="random-sublayer-drop",
        title="Random sub-layers",
        paper="Control: attention and MLP sub-layers dropped at random",
        control=True,
        stochastic=True,
        seeds=10,
    )

    def supports(self, task: CausalLMTask) -> str | None:
        return unmet(task, sublayers(task.model))

    def build(self, task: CausalLMTask) -> nn.Module:
        every = sublayers(task.model)
        order = torch.randperm(len(every), generator=torch.Generator().manual_seed(task.seed))
        return drop(task.model, shortest_prefix(task, [(every[index],) for index in order.tolist()]))
