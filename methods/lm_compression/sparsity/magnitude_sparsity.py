"""Control: the smallest weights leave."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from bench.contract import Card, Method
from methods._techniques.packed_sparse import pack
from methods.lm_compression.sparsity._amount import Amount, Pattern, block_linears, block_names, least, unmet
from methods.lm_compression.sparsity._masks import named, survivors
from suites.lm_compression.task import CausalLMTask


@dataclass(frozen=True)
class MagnitudeSparsity(Method[CausalLMTask]):
    """Sets the smallest weights of each linear layer of the blocks to zero, the same share of each layer.

    Weights are compared over the whole layer, as the control of Wanda and SparseGPT does. No data.

    pattern: "unstructured", or "2:4", two of every four neighbouring inputs.
    """

    card = Card(
        slug="magnitude-sparsity",
        title="Magnitude, single weights",
        paper="Control: the smallest weights become zero (Han et al., 2015)",
        url="https://arxiv.org/abs/1506.02626",
        control=True,
        speed_realised=False,
        notes="Stored as a bitmap and the surviving values, unpacked for each product.",
    )
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {"default": {}, "2-of-4": {"pattern": "2:4"}}

    pattern: Pattern = "unstructured"

    def supports(self, task: CausalLMTask) -> str | None:
        return unmet(task, self.pattern)

    def build(self, task: CausalLMTask) -> nn.Module:
        amount = least(task, self.pattern)
        candidate = copy.deepcopy(task.model)
        kept: dict[str, Tensor] = {}
        for index, name in enumerate(block_names(candidate)):
            kept |= named(name, magnitude_masks(candidate.get_submodule(name), amount, index))
        return pack(candidate, kept)


def magnitude_masks(block: nn.Module, amount: Amount, index: int) -> dict[str, Tensor]:
    """The survivors of each layer of block number `index` that loses weights: bool (out, in) by name."""
    masks = {
        name: survivors(linear.weight.detach().abs(), amount, index, by_row=False)
        for name, linear in block_linears(block).items()
    }
    return {name: mask for name, mask in masks.items() if mask is not None}
