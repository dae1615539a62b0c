"""Grids of a few levels for groups of weights, and the nearest level of each.

A group is a run of neighbours in a row, along the input. With 2, 3 and 4 bits each group has a step and an offset of 16
bits of its own (asymmetric), with 8 bits each row has a step (symmetric): what the kernels in _packed.py read.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from methods._techniques.hessian import output_error

BITS = (2, 3, 4, 8)
SHRINKS = tuple(1 - step / 20 for step in range(11))
"""Parts of a group's range that are tried where the range is clipped: 1 to 0.5."""

_SYMMETRIC_LEVELS = 127
_ORIGIN = 8
"""The code that stands for a group's offset, also with 2 and 3 bits: the 4-bit kernel's convention, which it keeps."""


@dataclass(frozen=True)
class Grid:
    """Levels scale * (code - origin) + zero. scale, zero: float32 (rows, groups), rounded to what is stored."""

    bits: int
    group: int
    scale: Tensor
    zero: Tensor

    @property
    def origin(self) -> int:
        return 128 if self.bits == 8 else _ORIGIN

    @property
    def codes(self) -> tuple[int, int]:
        """The smallest and the largest code."""
        return (128 - _SYMMETRIC_LEVELS, 128 + _SYMMETRIC_LEVELS) if self.bits == 8 else (0, 2**self.bits - 1)

    def nearest(self, weight: Tensor) -> Tensor:
        """Codes, uint8, of weights (rows, columns)."""
        scale, zero = self._spread()
        return self.rounded(weight.float(), scale, zero)

    def values(self, codes: Tensor) -> Tensor:
        """Levels, float32, of codes (rows, columns)."""
        scale, zero = self._spread()
        return self.levels(codes, scale, zero)

    def rounded(self, weight: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
        """Codes of weights whose step and offset are given."""
        return ((weight - zero) / scale + self.origin).round_().clamp_(*self.codes).to(torch.uint8)

    def levels(self, codes: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
        """Levels of codes whose step and offset are given."""
        return (codes.float() - self.origin) * scale + zero

    def _spread(self) -> tuple[Tensor, Tensor]:
        """Step and offset of each column: (rows, columns)."""
        return self.scale.repeat_interleave(self.group, 1), self.zero.repeat_interleave(self.group, 1)


@dataclass(frozen=True)
class Quantised:
    """Codes, uint8 (rows, columns), on a grid."""

    grid: Grid
    codes: Tensor

    @property
    def values(self) -> Tensor:
        """The weights that they stand for, float32 (rows, columns)."""
        return self.grid.values(self.codes)


def group_size(columns: int, bits: int, group: int) -> int:
    """The group that a row of so many columns really gets: whole groups only, one of 8 bits for all of a row."""
    return columns if bits == 8 else math.gcd(columns, group)


@torch.no_grad()
def fit(weight: Tensor, bits: int, group: int, clip: bool) -> Grid:
    """The grid of weights (rows, columns) from the least to the largest of each group.

    clip: the range of each group is drawn in from both ends by the factor of SHRINKS that leaves the least squared
    error to the nearest levels; not with 8 bits, where there is nothing to gain.
    """
    if bits not in BITS:
        raise ValueError(f"weights have {', '.join(map(str, BITS))} bits, not {bits}")
    group = group_size(weight.shape[1], bits, group)
    if bits == 8:
        scale = _step(weight.float().abs().amax(1, keepdim=True) / _SYMMETRIC_LEVELS, weight.dtype)
        return Grid(bits, group, scale, torch.zeros_like(scale))
    grouped = weight.float().unflatten(1, (-1, group))
    low, high = grouped.aminmax(dim=2)
    best = _between(low, high, bits, group, weight.dtype)
    if not clip:
        return best
    least = _squared_error(grouped, best)
    for shrink in SHRINKS[1:]:
        tried = _between(low * shrink, high * shrink, bits, group, weight.dtype)
        error = _squared_error(grouped, tried)
        better = error < least
        least = torch.where(better, error, least)
        best = Grid(
            bits, group, torch.where(better, tried.scale, best.scale), torch.where(better, tried.zero, best.zero)
        )
    return best


def nearest(weight: Tensor, bits: int, group: int, clip: bool) -> Quantised:
    """Round to nearest: each weight to the nearest level of its group's grid."""
    grid = fit(weight, bits, group, clip)
    return Quantised(grid, grid.nearest(weight))


def better_rows(first: Quantised, second: Quantised, weight: Tensor, hessian: Tensor) -> Quantised:
    """Row by row the one whose outputs miss less of those of `weight` over the Hessian; the first in a tie."""
    error, other = (output_error(given.values - weight.float(), hessian) for given in (first, second))
    take = (other < error)[:, None]
    grid = Grid(
        first.grid.bits,
        first.grid.group,
        torch.where(take, second.grid.scale, first.grid.scale),
        torch.where(take, second.grid.zero, first.grid.zero),
    )
    return Quantised(grid, torch.where(take, second.codes, first.codes))


def _between(low: Tensor, high: Tensor, bits: int, group: int, dtype: torch.dtype) -> Grid:
    """The grid with levels from low to high, each (rows, groups)."""
    stored = packed_type(dtype)
    scale = _step((high - low) / (2**bits - 1), stored)
    return Grid(bits, group, scale, (low + _ORIGIN * scale).to(stored).float())


def _step(scale: Tensor, stored: torch.dtype) -> Tensor:
    """Rounded to the type that is stored; 1 where it would be zero."""
    scale = scale.to(stored).float()
    return torch.where(scale == 0, torch.ones_like(scale), scale)


def packed_type(dtype: torch.dtype) -> torch.dtype:
    """Type of the steps and offsets beside packed weights of a model of this type: always 16 bits."""
    return dtype if dtype == torch.float16 else torch.bfloat16


def _squared_error(grouped: Tensor, grid: Grid) -> Tensor:
    """(rows, groups) for weights (rows, groups, group)."""
    scale, zero = grid.scale[..., None], grid.zero[..., None]
    return (grid.levels(grid.rounded(grouped, scale, zero), scale, zero) - grouped).square_().sum(2)
