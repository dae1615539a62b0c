"""How much of a model must become zero: as little as the limit on stored bytes allows, and equally much for every
criterion, so that criteria are compared at the same sparsity.

Pruned are the linear layers of the decoder's blocks, as in the papers; embeddings and head stay dense.
"""

import copy
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import torch
from torch import Tensor, nn

from methods._techniques.packed_sparse import pack
from methods.lm_compression._limits import NO_LIMIT, first_met
from suites.lm_compression.task import CausalLMTask

Pattern = Literal["unstructured", "2:4"]


@dataclass(frozen=True)
class Amount:
    """The share `sparsity` of the weights of each linear layer in the first `blocks` blocks leaves.

    Unstructured sparsity takes equally much of all blocks. 2:4 sparsity is always one half; where that is more than
    needed, the last blocks stay dense, since they bear it worst (Frantar & Alistarh, 2023, section 4, partial n:m).
    """

    pattern: Pattern
    sparsity: Fraction
    blocks: int

    def pruned(self, block: int, columns: int) -> int:
        """Zeros in a row of so many columns, on the average over the rows of a layer of this block."""
        return int(self.sparsity * columns) if block < self.blocks else 0


def block_linears(block: nn.Module) -> dict[str, nn.Linear]:
    """The linear layers of a block by their name within it, in the order of the model."""
    return {name: module for name, module in block.named_modules() if isinstance(module, nn.Linear)}


def block_names(model: Any) -> list[str]:
    """Dotted names of the decoder's blocks."""
    layers = model.get_decoder().layers
    prefix = next(name for name, module in model.named_modules() if module is layers)
    return [f"{prefix}.{index}" for index in range(len(layers))]


def unmet(task: CausalLMTask, pattern: Pattern) -> str | None:
    """Why the limits can't be met by zeros, or None if they can."""
    if not task.limits.result:
        return NO_LIMIT
    for name in task.limits.result:
        if name != "stored_ratio":
            return f"zeros are stored in fewer bytes, but no kernel here skips them: they cannot meet a limit on {name}"
    widths = [linear.in_features for block in _blocks(task.model) for linear in block_linears(block).values()]
    if pattern == "2:4" and any(width % 4 for width in widths):
        return "a linear layer's inputs do not come in fours, as 2:4 sparsity needs them"
    left = "one weight in each row" if pattern == "unstructured" else "two of four weights"
    return task.still_over(_weighed(task.model, ladder(task.model, pattern)[-1]), f"{left} left")


def least(task: CausalLMTask, pattern: Pattern) -> Amount:
    """The smallest amount that meets the limits. Raises OverBudget if there is none."""
    amounts = ladder(task.model, pattern)

    costs = [1] * (len(amounts) - 1)
    return amounts[first_met(task, costs, lambda step: _weighed(task.model, amounts[step]))]


def ladder(model: Any, pattern: Pattern) -> list[Amount]:
    """All amounts that differ, from none upwards; the last leaves one weight in every row, or two of every four.

    A step is one weight in each row of some layers, about 0.1 % of the bytes of a small model, or one block."""
    blocks = _blocks(model)
    if pattern == "2:4":
        return [Amount(pattern, Fraction(1, 2), count) for count in range(len(blocks) + 1)]
    steps = math.lcm(*{linear.in_features for block in blocks for linear in block_linears(block).values()})
    return [Amount(pattern, Fraction(step, steps), len(blocks)) for step in range(steps)]


def _blocks(model: Any) -> nn.ModuleList:
    blocks: nn.ModuleList = model.get_decoder().layers
    return blocks


def _weighed(model: Any, amount: Amount) -> Any:
    """What a model of this sparsity weighs, whichever weights leave: here the last ones of each row."""
    candidate = copy.deepcopy(model, {id(tensor): tensor for tensor in model.parameters()})
    kept: dict[str, Tensor] = {}
    for index, name in enumerate(block_names(model)):
        for linear_name, linear in block_linears(model.get_submodule(name)).items():
            if zeros := amount.pruned(index, linear.in_features):
                row = torch.arange(linear.in_features, device=linear.weight.device) < linear.in_features - zeros
                kept[f"{name}.{linear_name}"] = row.expand_as(linear.weight)
    return pack(candidate, kept)
