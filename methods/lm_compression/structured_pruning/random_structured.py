"""Control: the same structures as FLAP, drawn at random."""

from dataclasses import dataclass

import torch
from torch import nn

from bench.contract import Card, Method
from methods.lm_compression.structured_pruning._cut import output_projections
from methods.lm_compression.structured_pruning._order import cut_to_limits, ranking, unmet
from suites.lm_compression.task import CausalLMTask


@dataclass(frozen=True)
class RandomStructured(Method[CausalLMTask]):
    """Removes KV groups and blocks of MLP neurons in an order drawn from the seed, until the limits are met.

    Which neurons stand together in a block of so many (`block`), and which group and block of each layer stays, is
    drawn too. Every group and every block has the same chance.
    """

    card = Card(
        slug="random-structured",
        title="Random, heads and neurons",
        paper="Control: heads and neurons drawn at random",
        control=True,
        stochastic=True,
        seeds=10,
    )

    block: int = 8

    def supports(self, task: CausalLMTask) -> str | None:
        return unmet(task, self.block)

    def build(self, task: CausalLMTask) -> nn.Module:
        generator = torch.Generator().manual_seed(task.seed)
        scores = [
            torch.rand(linear.in_features, generator=generator, dtype=torch.float64)
            for linear in output_projections(task.model)
        ]
        units = ranking(task.model, scores[::2], scores[1::2], self.block)
        # A block of neighbours in the order of random scores has an extreme mean, a group hardly any: only the make-up
        # of the units is taken from the scores, their turn is drawn anew.
        turn = torch.randperm(len(units), generator=generator)
        return cut_to_limits(task, [units[index] for index in turn])
