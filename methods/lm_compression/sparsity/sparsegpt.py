"""SparseGPT: weights leave column by column, and those that stay make up for it."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from bench.contract import Card, Claim, Method
from methods._techniques.hessian import Hessian, inverse_factor
from methods._techniques.packed_sparse import pack
from methods.lm_compression._calibration import calibration_batch
from methods.lm_compression.sparsity._amount import Amount, Pattern, block_linears, block_names, least, unmet
from methods.lm_compression.sparsity._masks import named, two_of_four, without_lowest_of_all
from suites._language.blocks import BlockOverText, walk_blocks
from suites.lm_compression.task import CausalLMTask


@dataclass(frozen=True)
class SparseGPT(Method[CausalLMTask]):
    """One-shot pruning with second-order compensation (Frantar & Alistarh, 2023).

    Every linear layer is a least-squares problem over calibration text. Going through its inputs in order, the error of
    each pruned weight is spread over the weights of the inputs after it by the OBS update (the inverse Hessian). The
    mask is decided for `block` inputs at a time, by the error that removals cost at that moment. Blocks of the decoder
    are pruned in order, each on what the pruned ones before it give.

    pattern: "unstructured", or "2:4", two of every four neighbouring inputs. samples, length: calibration windows and
    their tokens (the paper: 128 windows of 2048; ours are as long as the 32 768 tokens of the operating points allow).
    block: inputs for which the mask is chosen together. damping: share of the Hessian's mean diagonal that is added.
    """

    card = Card(
        slug="sparsegpt",
        title="SparseGPT",
        paper="Frantar & Alistarh, SparseGPT: Massive Language Models Can Be Accurately Pruned in One-Shot, "
        "ICML 2023, arXiv 2301.00774",
        url="https://arxiv.org/abs/2301.00774",
        control=True,
        speed_realised=False,
        claims=(
            Claim(
                text="The OBS update of the remaining weights leaves a far lower perplexity than magnitude pruning.",
                source="section 4, table 1: perplexity of OPT at half sparsity",
                metric="word_perplexity",
                versus="magnitude-sparsity",
            ),
        ),
        differences=(
            (
                "The sparsity is the least that meets the limit on bytes; 2:4 leaves the last blocks dense where "
                "all of them would be more than needed."
            ),
            "The mask of a block of inputs is cut at an exact count, not at a threshold.",
            (
                "Calibration windows have 256 tokens, an eighth of the paper's, so that the first token of each "
                "weighs more."
            ),
        ),
        notes="Stored as a bitmap and the surviving values, unpacked for each product.",
    )
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {"default": {}, "2-of-4": {"pattern": "2:4"}}

    pattern: Pattern = "unstructured"
    samples: int = 128
    length: int = 256
    block: int = 128
    damping: float = 0.01

    def supports(self, task: CausalLMTask) -> str | None:
        return unmet(task, self.pattern)

    def build(self, task: CausalLMTask) -> nn.Module:
        amount = least(task, self.pattern)
        candidate = copy.deepcopy(task.model)
        windows = calibration_batch(task, self.samples, self.length)
        kept: dict[str, Tensor] = {}
        for name, step in zip(block_names(candidate)[: amount.blocks], walk_blocks(candidate, windows), strict=False):
            linears = block_linears(step.block)
            hessians = shared_hessians(step, list(linears.values()))
            factors = {hessian: inverse_factor(hessian.matrix, self.damping).float() for hessian in set(hessians)}
            for (linear_name, linear), hessian in zip(linears.items(), hessians, strict=True):
                if amount.pruned(step.index, linear.in_features):
                    weight, mask = compensated(
                        linear.weight.detach(), factors[hessian], amount, step.index, block=self.block
                    )
                    linear.weight.data = weight
                    kept |= named(name, {linear_name: mask})
        return pack(candidate, kept)


def compensated(
    weight: Tensor, factor: Tensor, amount: Amount, index: int, *, block: int = 128, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Algorithm 1 of the paper on one layer: the updated weights with their zeros, in the type of `weight`, and the
    survivors, bool; both (out, in).

    factor: of `inverse_factor`, float32. index: number of the decoder block, which the amount may hang on. mask:
    survivors, where they are given and not chosen.
    """
    rows, columns = weight.shape
    total = rows * amount.pruned(index, columns)
    left = weight.to(torch.float32, copy=True)
    kept = torch.ones_like(weight, dtype=torch.bool) if mask is None else mask
    for start in range(0, columns, block):
        end = min(start + block, columns)
        scale = factor.diagonal()[start:end]
        if mask is None and amount.pattern == "unstructured":
            count = total * end // columns - total * start // columns
            kept[:, start:end] = without_lowest_of_all((left[:, start:end] / scale).square(), count)
        errors = torch.zeros(rows, end - start, device=weight.device)
        for column in range(start, end):
            if mask is None and amount.pattern == "2:4" and column % 4 == 0:
                four = slice(column, column + 4)
                kept[:, four] = two_of_four((left[:, four] / factor.diagonal()[four]).square())
            gone = left[:, column].masked_fill(kept[:, column], 0) / factor[column, column]
            left[:, column:end] -= gone[:, None] * factor[column, column:end]
            errors[:, column - start] = gone
        left[:, end:] -= errors @ factor[start:end, end:]
    return (left * kept).to(weight.dtype), kept


def shared_hessians(step: BlockOverText, linears: Sequence[nn.Linear]) -> list[Hessian]:
    """The Hessian of each of these layers of a block; those that read the same tensor (queries, keys, values; gate and
    up) share one, which is the larger part of the work saved."""
    hessians = [Hessian() for _ in linears]
    last: tuple[Tensor, Hessian] | None = None

    def seeing(index: int) -> Callable[[Tensor], None]:
        def see(x: Tensor) -> None:
            nonlocal last
            if last is not None and x is last[0]:
                hessians[index] = last[1]
                return
            hessians[index].see(x)
            last = x, hessians[index]

        return see

    step.observe(linears, [seeing(index) for index in range(len(linears))])
    return hessians
