"""Wanda: weights leave by their size times the size of what they multiply."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from bench.contract import Card, Claim, Method
from methods._techniques.packed_sparse import pack
from methods.lm_compression._calibration import calibration_batch
from methods.lm_compression.sparsity._amount import Amount, Pattern, block_linears, block_names, least, unmet
from methods.lm_compression.sparsity._masks import named, set_zeros, survivors
from suites._language.blocks import BlockOverText, walk_blocks
from suites.lm_compression.task import CausalLMTask


@dataclass(frozen=True)
class Wanda(Method[CausalLMTask]):
    """Pruning by weights and activations (Sun et al., 2024).

    A weight's score is its absolute value times the Euclidean norm of its input over calibration text. Within each
    output the lowest scores leave, the same share everywhere; nothing is updated. Blocks are pruned in order, each on
    what the pruned ones before it give.

    pattern: "unstructured", or "2:4", two of every four neighbouring inputs. samples, length: calibration windows and
    their tokens (the paper: 128 windows of 2048; ours are as long as the 32 768 tokens of the operating points allow).
    """

    card = Card(
        slug="wanda",
        title="Wanda",
        paper="Sun et al., A Simple and Effective Pruning Approach for Large Language Models, "
        "ICLR 2024, arXiv 2306.11695",
        url="https://arxiv.org/abs/2306.11695",
        control=True,
        speed_realised=False,
        claims=(
            Claim(
                text="Scores by weight times input norm leave a far lower perplexity than weight magnitude.",
                source="abstract: well above the established baseline of magnitude pruning",
                metric="word_perplexity",
                versus="magnitude-sparsity",
            ),
            Claim(
                text="It is as good as SparseGPT, with its OBS update of the remaining weights.",
                source="abstract: competitive with recent methods that involve intensive weight update",
                metric="word_perplexity",
                versus="sparsegpt",
                relation="same",
            ),
        ),
        differences=(
            (
                "The sparsity is the least that meets the limit on bytes; 2:4 leaves the last blocks dense where "
                "all of them would be more than needed."
            ),
        ),
        notes="Stored as a bitmap and the surviving values, unpacked for each product.",
    )
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {"default": {}, "2-of-4": {"pattern": "2:4"}}

    pattern: Pattern = "unstructured"
    samples: int = 128
    length: int = 256

    def supports(self, task: CausalLMTask) -> str | None:
        return unmet(task, self.pattern)

    def build(self, task: CausalLMTask) -> nn.Module:
        amount = least(task, self.pattern)
        candidate = copy.deepcopy(task.model)
        return pack(candidate, prune_by_wanda(candidate, calibration_batch(task, self.samples, self.length), amount))


def prune_by_wanda(model: Any, windows: Tensor, amount: Amount) -> dict[str, Tensor]:
    """Set weights of `model` to zero, in place, block by block; returns the survivors by dotted name."""
    kept: dict[str, Tensor] = {}
    for name, step in zip(block_names(model)[: amount.blocks], walk_blocks(model, windows), strict=False):
        masks, _ = wanda_masks(step, amount)
        set_zeros(step.block, masks)
        kept |= named(name, masks)
    return kept


def wanda_masks(step: BlockOverText, amount: Amount) -> tuple[dict[str, Tensor], Tensor]:
    """The survivors of each layer that loses weights, bool (out, in) by name; and what the whole block gave:
    (windows, length, hidden)."""
    linears = block_linears(step.block)
    squares = [torch.zeros(linear.in_features, device=linear.weight.device) for linear in linears.values()]
    outputs = step.observe(list(linears.values()), [_adding(total) for total in squares])
    masks = {
        name: survivors(wanda_scores(linear.weight, total), amount, step.index, by_row=True)
        for (name, linear), total in zip(linears.items(), squares, strict=True)
    }
    return {name: mask for name, mask in masks.items() if mask is not None}, outputs


def wanda_scores(weight: Tensor, squares: Tensor) -> Tensor:
    """|W_ij| ||x_j||: float32 (out, in). squares: (in,), each input's sum of squares over the text."""
    return weight.detach().float().abs() * squares.sqrt()


def _adding(total: Tensor) -> Callable[[Tensor], None]:
    def add(x: Tensor) -> None:
        total.add_(x.float().flatten(0, -2).square().sum(0))

    return add
