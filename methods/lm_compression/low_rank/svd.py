"""Control: every matrix of the blocks at a lower rank."""

from dataclasses import dataclass

from torch import nn

from bench.contract import Card, Method
from methods._techniques.factored import truncated, with_layers
from methods.lm_compression.low_rank._limits import uniform_ranks, unmet
from suites.lm_compression.task import CausalLMTask


@dataclass(frozen=True)
class SVD(Method[CausalLMTask]):
    """Writes each linear layer of the blocks as two thin ones, by truncated singular value decomposition.

    All matrices keep the same share of their parameters, the largest that meets the limits: no data, no training, no
    choice. Embeddings and output head stay as they are.
    """

    card = Card(
        slug="svd",
        title="Truncated SVD",
        paper="Control: truncated singular value decomposition, one share of the parameters for all matrices",
        control=True,
    )

    def supports(self, task: CausalLMTask) -> str | None:
        return unmet(task)

    def build(self, task: CausalLMTask) -> nn.Module:
        dense = task.model
        ranks = uniform_ranks(task)
        layers = {name: truncated(dense.get_submodule(name), rank) for name, rank in ranks.items()}
        candidate: nn.Module = with_layers(dense, layers)
        return candidate
