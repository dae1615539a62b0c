"""Control: whole blocks drawn at random."""

from dataclasses import dataclass

import torch
from torch import nn

from bench.contract import Card, Method
from methods.lm_compression.layer_dropping._limits import shortest_prefix, unmet
from methods.lm_compression.layer_dropping._sublayers import blocks, drop, sublayers, whole_block
from suites.lm_compression.task import CausalLMTask


@dataclass(frozen=True)
class RandomBlockDrop(Method[CausalLMTask]):
    """Drops blocks in an order drawn uniformly from the seed, until the limits are met."""

    card = Card(
        slug="random-block-drop",
        title="Random blocks",
        paper="Control: blocks dropped at random",
        control=True,
        stochastic=True,
        seeds=10,
    )

    def supports(self, task: CausalLMTask) -> str | None:
        return unmet(task, sublayers(task.model))

    def build(self, task: CausalLMTask) -> nn.Module:
        order = torch.randperm(len(blocks(task.model)), generator=torch.Generator().manual_seed(task.seed))
        return drop(task.model, shortest_prefix(task, [whole_block(index) for index in order.tolist()]))
