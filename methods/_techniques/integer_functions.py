"""Softmax, SiLU and RMS normalisation in integers: tables, shifts, sums.

Every function takes integers with exponents (see _blockwise.py) and says how far it may be from the real one.
"""

from functools import cache

import torch
from torch import Tensor

from methods._techniques.blockwise import Blocks, exponent_for, power_of_two

FRACTION = 8
"""Bits behind the point of a score, to base 2: the table of 2^-f has 256 entries."""

WEIGHT_BITS = 22
"""Of the largest weight of a softmax: 2^22, so that tails of many small weights are not rounded away."""

HIDDEN = -(2**30)
_LARGEST_SCORE = float(2**28)

DIGIT = 7
PROBABILITY = 2 ** (2 * DIGIT) - 1
"""Largest integer of a probability: two digits of 7 bits, each an operand of an 8-bit product. One digit would round
away all that an attention sink leaves over."""

SILU_EXPONENTS = (-14, 5)
"""Exponents with a table of their own. Below, SiLU is x / 2 to 0.4 %; above, it is x or 0 to far less than a step."""

SILU_FRACTION = 8

_ROOT_BITS = 10
_ROOT_UNIT = 15


def softmax_weights(scores: Tensor) -> Tensor:
    """2^(score - largest score of its row) in units of 2^-22, int32, for scores (..., keys) in units of 2^-8.

    A score of HIDDEN or so weighs nothing. The integer part of the difference is a shift, the rest a table; relative
    error of a weight: 2^-21 and what one unit is of it.
    """
    distance = scores.amax(-1, keepdim=True) - scores
    fraction = _powers(scores.device).index_select(0, (distance & 2**FRACTION - 1).view(-1)).view_as(distance)
    return fraction >> (distance >> FRACTION).clamp_(max=31)


def fixed_point(scores: Tensor, keep: Tensor | None) -> Tensor:
    """float32 scores to base 2 to the nearest multiple of 2^-8, int32; in place. keep: which are seen (broadcast)."""
    rounded = scores.mul_(2**FRACTION).clamp_(-_LARGEST_SCORE, _LARGEST_SCORE).round_().int()
    return rounded if keep is None else rounded.masked_fill_(~keep, HIDDEN)


def digits(weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """float32 weights (..., keys) of zero or more, to 14 bits: high and low digit, int8 (..., keys), and exponent,
    int32 (..., 1), for (high * 2^7 + low) * 2^exponent."""
    exponent = exponent_for(weights.amax(-1, keepdim=True), PROBABILITY)
    values = (weights * power_of_two(-exponent)).round_().to(torch.int16)
    return (values >> DIGIT).to(torch.int8), (values & 2**DIGIT - 1).to(torch.int8), exponent


def silu(x: Blocks) -> tuple[Tensor, Tensor]:
    """SiLU of 8-bit blocks: int32 (..., blocks, block) and exponent, int32 (..., blocks), from a table of 256 entries
    per exponent. Error: half a unit, 2^(exponent - 1), with exponents of SILU_EXPONENTS."""
    first, last = SILU_EXPONENTS
    table = x.exponent.clamp(first, last).sub_(first).mul_(256).add_(128)
    index = x.values + table[..., None]
    return _silus(x.values.device).index_select(0, index.view(-1)).view_as(index), x.exponent - SILU_FRACTION


def rms_normalised(x: Blocks, epsilon: float) -> tuple[Tensor, Tensor]:
    """x / sqrt(mean(x^2) + epsilon) of 16-bit blocks (..., blocks, block): int32 of the same shape, at most 16 bits,
    and exponent, int32 (..., blocks). Relative error 2^-11 by the root's table, and half a unit.

    Squares and their sums are integers, of 64 bits; blocks of smaller exponents are shifted to the largest one.
    """
    top = x.exponent.amax(-1, keepdim=True)
    squares = (x.values * x.values).sum(-1)  # .square() takes a power, five times as long
    total = (squares >> (2 * (top - x.exponent)).clamp_(max=62)).sum(-1, keepdim=True)
    count = x.values.shape[-1] * x.values.shape[-2]
    offset = (epsilon * power_of_two((-2 * top).clamp_(-126, 60)).double()).round_().long()
    root, shift = inverse_root((total // count + offset).clamp_(min=1))
    values = (x.values * root[..., None] + 2 ** (_ROOT_UNIT - 1)) >> _ROOT_UNIT
    return values, x.exponent - top - shift


def inverse_root(square: Tensor) -> tuple[Tensor, Tensor]:
    """1 / sqrt of integers of 1 to 2^52: (root, shift), int32, for root * 2^-(15 + shift), root at most 2^15.

    The number is shifted by an even number of bits into [1, 4); ten bits behind the point choose from a table.
    """
    shift = (torch.frexp(square.double())[1] - 1) // 2
    leading = (square << _ROOT_BITS) >> (2 * shift)
    return _roots(square.device)[leading - 2**_ROOT_BITS], shift


@cache
def _powers(device: torch.device) -> Tensor:
    """2^-(f / 256), f = 0 ... 255, in units of 2^-22."""
    fractions = torch.arange(2**FRACTION, dtype=torch.float64) / 2**FRACTION
    return torch.exp2(WEIGHT_BITS - fractions).round().int().to(device)


@cache
def _silus(device: torch.device) -> Tensor:
    """For each exponent e, and each q = -128 ... 127, SiLU(q 2^e) in units of 2^(e - 8)."""
    first, last = SILU_EXPONENTS
    step = torch.exp2(torch.arange(first, last + 1, dtype=torch.float64))[:, None]
    x = torch.arange(-128, 128) * step
    return (torch.nn.functional.silu(x) / step * 2**SILU_FRACTION).round().int().flatten().to(device)


@cache
def _roots(device: torch.device) -> Tensor:
    """1 / sqrt of the middles of [1, 4) in steps of 2^-10, in units of 2^-15."""
    middle = 1 + (torch.arange(3 * 2**_ROOT_BITS, dtype=torch.float64) + 0.5) / 2**_ROOT_BITS
    return (2**_ROOT_UNIT * middle.rsqrt()).round().int().to(device)
