"""Binary codes of a matrix, column by column: the columns still free make up for what a column misses."""

import torch
from torch import Tensor

from methods._techniques.binary import assign, fitted_scales, reconstructed, refined_scales, scale_values
from methods._techniques.shift_add import BinaryCodes, packed_signs, row_blocks

BLOCK = 128
"""Columns whose errors are handed to the columns after them in one product: 128, as in GPTQ."""

TOUCH_UP = 1
"""Rounds of fitting once the columns before have moved a column; its scales start from those fitted before that."""


@torch.no_grad()
def binary_codes(weight: Tensor, factor: Tensor | None, bits: int, terms: int, width: int, rounds: int) -> BinaryCodes:
    """Codes of weights (rows, columns).

    factor: of _hessian.inverse_factor for these columns; None leaves the columns as they are, so that the error of the
    weights is all that is minimised. width: columns that share scales; a column's scales serve all rows if it is 1,
    else a width-th of the rows, so that there are equally many.
    """
    free = weight.float().clone()
    rows, columns = free.shape
    blocks = row_blocks(rows, width)
    choice = torch.empty(rows, columns, dtype=torch.int64, device=free.device)
    scales = []
    for start in range(0, columns, BLOCK):
        stop = min(start + BLOCK, columns)
        block = free[:, start:stop]
        first = _grouped(block, blocks, width)
        fitted = fitted_scales(first, bits, terms, rounds).view(blocks, -1, bits, terms)
        errors = torch.zeros_like(block)
        for left in range(0, stop - start, width):
            codes = fitted[:, left // width]
            if factor is not None:
                codes = refined_scales(_grouped(block[:, left : left + width], blocks, width), codes, TOUCH_UP)
            scales.append(codes)
            values = scale_values(codes)
            for column in range(left, left + width):
                now = block[:, column].reshape(blocks, -1)
                place, _ = assign(now, values)
                choice[:, start + column] = place.flatten()
                if factor is not None:
                    step = factor[start + column, start + column : stop].float()
                    miss = (now - reconstructed(place, values)).flatten() / step[0]
                    block[:, column:] -= miss[:, None] * step
                    errors[:, column] = miss
        if factor is not None:
            free[:, stop:] -= errors @ factor[start:stop, stop:].float()
    return BinaryCodes(packed_signs(choice, bits), torch.stack(scales).permute(2, 1, 0, 3).contiguous())


def in_order(codes: BinaryCodes, order: Tensor, width: int) -> BinaryCodes:
    """Codes of columns that had been put into an order, back in their own places. order: (columns,), whole bytes and
    whole blocks of `width` moved together where width is 8; any order where width is 1."""
    bits = len(codes.scales)
    back = torch.argsort(order)
    places = torch.arange(8, device=order.device)
    single = (codes.signs.unflatten(1, (bits, -1))[..., None] >> places & 1).flatten(2)[:, :, back]
    signs = (single.unflatten(2, (-1, 8)) << places).sum(-1).flatten(1).to(torch.uint8)
    return BinaryCodes(signs, codes.scales[:, :, torch.argsort(order[::width])])


def column_order(hessian: Tensor, width: int) -> Tensor:
    """Columns, in blocks of `width`, by how large their inputs are, largest first: (columns,)."""
    strength = hessian.diagonal().unflatten(0, (-1, width)).sum(1)
    first = torch.argsort(strength, descending=True, stable=True) * width
    return (first[:, None] + torch.arange(width, device=hessian.device)).flatten()


def _grouped(columns: Tensor, blocks: int, width: int) -> Tensor:
    """(rows, columns) -> (row blocks * column blocks, weights that share scales)."""
    return columns.unflatten(0, (blocks, -1)).unflatten(2, (-1, width)).transpose(1, 2).flatten(2).flatten(0, 1)
