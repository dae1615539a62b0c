"""GPTQ (Frantar et al., 2022): columns are rounded one after the other, and those still to come make up for the error.

https://arxiv.org/abs/2210.17323, algorithm 1. With H the second moments of a layer's inputs, rounding column j by e
moves the columns after it by -e U[j, j+1:] / U[j, j], U the upper Cholesky factor of the damped inverse of H. Within a
block of columns the moves are made at once, those of the columns after the block in one product at its end.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from methods._techniques.grid import Grid, Quantised, better_rows, fit, nearest
from methods._techniques.hessian import Hessian, inverse_factor
from methods.lm_compression.quantisation._precision import replace_linear
from suites._language.blocks import BlockOverText, walk_blocks

BLOCK = 128
"""Columns of a block where the group does not say otherwise; changes the order of the sums and nothing else."""

SAME_INPUT = (
    ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    ("self_attn.o_proj",),
    ("mlp.gate_proj", "mlp.up_proj"),
    ("mlp.down_proj",),
)
"""Linear layers of a block, those together that read the same: they share a Hessian."""


@dataclass(frozen=True)
class Rounding:
    """How weights are rounded. damping: part of the Hessian's mean diagonal that is added to the diagonal. act_order:
    columns with large inputs first, on the grids of the weights as they were; else from the first to the last, and each
    group gets its grid when its turn comes, from the weights as they are by then.
    """

    bits: int
    group: int
    clip: bool
    damping: float
    act_order: bool


@torch.no_grad()
def gptq(weight: Tensor, hessian: Tensor, how: Rounding) -> Quantised:
    """weight: (rows, columns). hessian: (columns, columns).

    Rounding greedily it may, seldom, end up worse than round to nearest; a row where it does takes the nearest levels.
    """
    rounded = nearest(weight, how.bits, how.group, how.clip)
    greedy = _greedy(weight.float(), hessian, rounded.grid, how)
    return better_rows(greedy, rounded, weight, hessian)


def _greedy(weight: Tensor, hessian: Tensor, grid: Grid, how: Rounding) -> Quantised:
    columns = weight.shape[1]
    order = hessian.diagonal().argsort(descending=True, stable=True) if how.act_order else torch.arange(columns)
    order = order.to(weight.device)
    factor = inverse_factor(hessian[order][:, order], how.damping).float()
    left = weight[:, order].clone()
    scales, zeros = grid.scale.clone(), grid.zero.clone()
    refit = not how.act_order and grid.group < columns
    codes = torch.empty_like(weight, dtype=torch.uint8)
    positions = order.tolist()
    step = grid.group if refit else BLOCK
    for start in range(0, columns, step):
        end = min(start + step, columns)
        if refit:
            own = fit(left[:, start:end].to(weight.dtype), how.bits, how.group, how.clip)
            scales[:, start // step], zeros[:, start // step] = own.scale[:, 0], own.zero[:, 0]
        errors = torch.empty_like(left[:, start:end])
        for j in range(start, end):
            column = positions[j]
            scale, zero = scales[:, column // grid.group], zeros[:, column // grid.group]
            code = grid.rounded(left[:, j], scale, zero)
            codes[:, column] = code
            error = (left[:, j] - grid.levels(code, scale, zero)) / factor[j, j]
            left[:, j:end].addr_(error, factor[j, j:end], alpha=-1)
            errors[:, j - start] = error
        left[:, end:].addmm_(errors, factor[start:end, end:], alpha=-1)
    return Quantised(Grid(grid.bits, grid.group, scales, zeros), codes)


Importance = Callable[[BlockOverText], Tensor]
"""Weights of the tokens that enter a block: (windows, length)."""


@torch.no_grad()
def quantise_blocks(candidate: Any, windows: Tensor, how: Rounding, importance: Importance | None = None) -> None:
    """Quantise the linear layers of every block of `candidate`, in place, over calibration text (windows, length).

    Each block is calibrated on what the quantised blocks before it give; within a block all layers are calibrated on
    the block as it was. importance: how much a token counts in the block's Hessians; all the same if there is none.
    """
    for step in walk_blocks(candidate, windows):
        weights = None if importance is None else importance(step)
        for names, hessian in zip(SAME_INPUT, _hessians(step, weights), strict=True):
            for name in names:
                weight = step.block.get_submodule(name).weight
                replace_linear(step.block, name, gptq(weight, hessian, how))


def _hessians(step: BlockOverText, weights: Tensor | None) -> list[Tensor]:
    """One for each of SAME_INPUT."""
    found = [Hessian() for _ in SAME_INPUT]
    first = [step.block.get_submodule(names[0]) for names in SAME_INPUT]
    step.observe(first, [_seeing(hessian, weights, step.batch) for hessian in found])
    return [hessian.matrix for hessian in found]


def _seeing(hessian: Hessian, weights: Tensor | None, batch: int) -> Callable[[Tensor], None]:
    if weights is None:
        return hessian.see
    parts: Iterator[Tensor] = iter(weights.split(batch))
    return lambda inputs: hessian.see(inputs, next(parts))


def unquantisable(model: Any) -> str | None:
    """Why the blocks of this model can't be quantised, or None if they can."""
    known = {name for names in SAME_INPUT for name in names}
    for index, block in enumerate(model.get_decoder().layers):
        found = {name for name, module in block.named_modules() if isinstance(module, nn.Linear)}
        if found != known:
            return f"the linear layers of block {index} are not those of Llama: {', '.join(sorted(found ^ known))}"
    return None
