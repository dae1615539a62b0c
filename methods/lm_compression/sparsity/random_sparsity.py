"""Control: weights that leave are drawn at random."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from bench.contract import Card, Method
from methods._techniques.packed_sparse import pack
from methods.lm_compression.sparsity._amount import Pattern, block_linears, block_names, least, unmet
from methods.lm_compression.sparsity._masks import survivors
from suites.lm_compression.task import CausalLMTask


@dataclass(frozen=True)
class RandomSparsity(Method[CausalLMTask]):
    """Sets randomly drawn weights of the blocks' linear layers to zero, the same share of each layer.

    pattern: "unstructured", or "2:4", two of every four neighbouring inputs.
    """

    card = Card(
        slug="random-sparsity",
        title="Random weights",
        paper="Control: randomly drawn weights become zero",
        control=True,
        stochastic=True,
        seeds=10,
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
        generator = torch.Generator().manual_seed(task.seed)
        kept = {}
        for index, name in enumerate(block_names(candidate)):
            for linear_name, linear in block_linears(candidate.get_submodule(name)).items():
                scores = torch.rand(linear.weight.shape, generator=generator)
                if (mask := survivors(scores, amount, index, by_row=False)) is not None:
                    kept[f"{name}.{linear_name}"] = mask.to(linear.weight.device)
        return pack(candidate, kept)
