"""Control: round to nearest."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from bench.contract import Card, Method
from methods._techniques.grid import nearest
from methods.lm_compression.quantisation._precision import (
    GROUP,
    block_linears,
    borrowing_copy,
    most_bits,
    replace_linear,
    round_embeddings,
    unmet,
)
from suites.lm_compression.task import CausalLMTask


@dataclass(frozen=True)
class RTN(Method[CausalLMTask]):
    """Every weight to the nearest level of its group's grid, without data; activations stay at 16 bits.

    An operating point gets the most bits that meet it: 8 or 4 or 3 or 2 in the linear layers, and its own number in the
    token embeddings, which are quantised too (a fifth of a small model's bytes) and stay tied to the head.

    bits: fixed for all matrices, whatever the limit. group: weights of a row that share a 16-bit step and offset
    (8 bits: a row has one step). clip: whether a group's range is drawn in to where the squared error is least.
    """

    card = Card(
        slug="rtn",
        title="Round to nearest",
        paper="Control: weight-only rounding to the nearest of 4, 8, 16 or 255 levels",
        control=True,
        notes="The dense model is a dequantised 4-bit one, its channels permuted so that rounding does not meet the "
        "old blocks of 32. PyTorch's CPU kernels decode 4 and 8 bits from packed weights, 3 and 2 bits are unpacked "
        "first; prompts and other devices widen weights to 16: fewer bytes need not be less time.",
    )
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "default": {},
        "w8": {"bits": 8},
        "w4": {"bits": 4},
        "w3": {"bits": 3},
        "w2": {"bits": 2},
    }

    bits: int | None = None
    group: int = GROUP
    clip: bool = True

    def supports(self, task: CausalLMTask) -> str | None:
        return unmet(task, self.bits, self.group)

    @torch.no_grad()
    def build(self, task: CausalLMTask) -> nn.Module:
        precision = most_bits(task, self.bits, self.group)
        candidate = borrowing_copy(task.model)
        round_embeddings(candidate, precision.embeddings, self.group, self.clip)
        for name in block_linears(task.model):
            weight = task.model.get_submodule(name).weight
            replace_linear(candidate, name, nearest(weight, precision.linears, self.group, self.clip))
        return candidate.eval()
