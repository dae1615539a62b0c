"""Integers of few bits with one shift per block, and matrix products of them that stay integer.

A block of numbers is kept as integers q and one exponent e, for q * 2^e: its step is a power of two, so bringing
results of different blocks to one scale is a shift. A block of a matrix is a square tile of it, a block of an
activation is a run of one token's channels: nothing that is shared by tokens ever sets a scale. A block of None is the
whole matrix, or all channels of a token.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

BITS = (4, 8)
"""Widths of a weight: those of the paper."""

FINER = 2
"""A tile tries so many exponents below the least one that clips nothing, and takes the one with the least squared
error. Smaller ones would clip more than three quarters of the range."""

LEAST_EXPONENT = -60
"""Of an activation: what is below 2^-61 becomes zero."""

TOKENS_AT_ONCE = 32
SUMS_AT_ONCE = 2**19
"""Rows, and 32-bit sums of all blocks, that are held at a time. Measured on an EPYC with AVX-512, for 512 rows and
matrices of 576 x 1536: 6 to 8 ms with these (16 bits: 4), up to 30 with four times as many of both."""

_CUDA_ROWS, _CUDA_MULTIPLE = 24, 8
"""On CUDA an integer product has so many rows at least, and all its sizes are multiples of 8."""


@dataclass(frozen=True)
class Blocks:
    """Activations. values: int8, or int32 beyond 8 bits, (..., blocks, block); exponent: int32 (..., blocks)."""

    values: Tensor
    exponent: Tensor

    @property
    def floats(self) -> Tensor:
        """What they stand for: float32 (..., blocks * block)."""
        return (self.values * power_of_two(self.exponent)[..., None]).flatten(-2)


@dataclass(frozen=True)
class BlockMatrix:
    """A matrix (rows, columns) of tiles. codes: int8 (tiles along the columns, rows, columns of a tile), with 4 bits
    two codes a byte: of the first and of the second half of the tile's columns. exponent: int8 (tiles along the
    columns, tiles along the rows). height: rows of a tile; the last tile may hold fewer.
    """

    bits: int
    height: int
    codes: Tensor
    exponent: Tensor

    @property
    def rows(self) -> int:
        return self.codes.shape[1]

    @property
    def width(self) -> int:
        """Columns of a tile."""
        return self.codes.shape[2] * 8 // self.bits

    @property
    def columns(self) -> int:
        return self.codes.shape[0] * self.width

    @property
    def scale(self) -> Tensor:
        """2^exponent by row: float32 (tiles along the columns, rows)."""
        return power_of_two(self.exponent).repeat_interleave(self.height, 1)[:, : self.rows]

    def integers(self, rows: slice | Tensor) -> Tensor:
        """int8 (tiles along the columns, some rows, columns of a tile)."""
        codes = self.codes[:, rows]
        return codes if self.bits == 8 else torch.cat(((codes << 4) >> 4, codes >> 4), -1)

    def floats_of(self, rows: Tensor) -> Tensor:
        """Rows by their numbers (count,): float32 (count, columns)."""
        scale = power_of_two(self.exponent[:, rows // self.height])
        return (self.integers(rows) * scale[..., None]).transpose(0, 1).flatten(1)


def power_of_two(exponent: Tensor) -> Tensor:
    """2^exponent, exactly, as float32, for integers from -126 to 127: written into the bits of the float."""
    return ((exponent.int() + 127) << 23).view(torch.float32)


def exponent_for(largest: Tensor, limit: int) -> Tensor:
    """The least e, int32, with largest <= limit * 2^e, for magnitudes of zero or more; 0 for 0."""
    mantissa, exponent = torch.frexp(largest.float() / limit)
    return exponent - (mantissa == 0.5).int()


def to_blocks(x: Tensor, block: int | None, bits: int = 8, least: int = LEAST_EXPONENT) -> Blocks:
    """Numbers (..., channels) to the nearest integers of so many bits, sign included. least: of the exponents.

    |x - q * 2^e| <= 2^(e - 1), with 2^e below twice the block's largest magnitude over 2^(bits - 1) - 1.
    """
    limit = 2 ** (bits - 1) - 1
    grouped = x.float().unflatten(-1, (-1, width_of(x.shape[-1], block)))
    exponent = exponent_for(grouped.abs().amax(-1), limit).clamp_(min=least)
    values = (grouped * power_of_two(-exponent)[..., None]).round_()
    return Blocks(values.to(torch.int8 if bits <= 8 else torch.int32), exponent)


def width_of(columns: int, block: int | None) -> int:
    """Columns of a block in a row of so many: whole blocks only."""
    return columns if block is None else math.gcd(columns, block)


def unpackable(columns: int, bits: int, block: int | None) -> str | None:
    """Why a matrix of so many columns can't be kept in this way, or None if it can."""
    width = width_of(columns, block)
    return f"{bits} bits need an even number of columns in a block, not {width}" if bits == 4 and width % 2 else None


def block_matrix(weight: Tensor, bits: int, block: int | None) -> BlockMatrix:
    """Round a matrix (rows, columns) to the nearest levels, symmetric around zero; see FINER for a tile's exponent."""
    if bits not in BITS:
        raise ValueError(f"weights have {' or '.join(map(str, BITS))} bits, not {bits}")
    rows, columns = weight.shape
    width, height = width_of(columns, block), block or rows
    tiles = pad(weight.detach().float(), (0, 0, 0, -rows % height)).view(-1, height, columns // width, width)
    tiles = tiles.permute(2, 0, 1, 3)
    limit = 2 ** (bits - 1) - 1
    coarsest = exponent_for(tiles.abs().amax((2, 3)), limit)
    best, least = coarsest, torch.full_like(coarsest, torch.inf, dtype=torch.float32)
    for finer in range(FINER + 1):
        error = (_rounded(tiles, coarsest - finer, limit) - tiles).square_().sum((2, 3))
        better = error < least
        best, least = torch.where(better, coarsest - finer, best), torch.where(better, error, least)
    best = best.clamp_(min=LEAST_EXPONENT)
    values = _rounded(tiles, best, limit) * power_of_two(-best)[..., None, None]
    codes = values.flatten(1, 2)[:, :rows].to(torch.int8)
    if bits == 4:
        low, high = codes.chunk(2, -1)
        codes = low & 15 | high << 4
    return BlockMatrix(bits, height, codes.contiguous(), best.to(torch.int8))


def blank(weight: Tensor, bits: int, block: int | None) -> BlockMatrix:
    """As large as `block_matrix` would make it, and empty: for weighing."""
    rows, columns = weight.shape
    width, height = width_of(columns, block), block or rows
    tiles = columns // width

    def zeros(*shape: int) -> Tensor:
        return torch.zeros(shape, dtype=torch.int8, device=weight.device)

    return BlockMatrix(bits, height, zeros(tiles, rows, width * bits // 8), zeros(tiles, math.ceil(rows / height)))


def _rounded(tiles: Tensor, exponent: Tensor, limit: int) -> Tensor:
    """The levels nearest to tiles (..., height, width)."""
    scaled = tiles * power_of_two(-exponent)[..., None, None]
    return scaled.round_().clamp_(-limit, limit).mul_(power_of_two(exponent)[..., None, None])


def product(x: Blocks, weight: BlockMatrix) -> Tensor:
    """x (tokens, blocks, block) times the transposed matrix: float32 (tokens, rows).

    Within a block all is integer, with sums of 32 bits. Blocks are shifted to one scale (a multiplication of float32 by
    a power of two, exact for sums below 2^24, that is blocks of up to 1040 columns) and added in float32.
    """
    tokens, tiles = x.values.shape[:2]
    device = x.values.device
    values = x.values.transpose(0, 1).contiguous()
    scale_x, scale_w = power_of_two(x.exponent).T[..., None].contiguous(), weight.scale[:, None]
    result = torch.empty(tokens, weight.rows, device=device)
    step = min(tokens, TOKENS_AT_ONCE)
    rows_at_once = min(weight.rows, max(weight.width, SUMS_AT_ONCE // (tiles * step)))
    for first in range(0, weight.rows, rows_at_once):
        rows = slice(first, min(first + rows_at_once, weight.rows))
        integers = weight.integers(rows).transpose(1, 2)
        # Both are used again and again: new memory from the system would take longer than the products.
        sums = torch.empty(tiles, step, integers.shape[2], dtype=torch.int32, device=device)
        shifted = torch.empty_like(sums, dtype=torch.float32)
        for start in range(0, tokens, step):
            some = slice(start, min(start + step, tokens))
            part = values[:, some]
            here = sums[:, : part.shape[1]]
            for a, b, out in zip(part, integers, here, strict=True):
                integer_product(a, b, out)
            terms = shifted[:, : part.shape[1]].copy_(here).mul_(scale_x[:, some]).mul_(scale_w[..., rows])
            torch.sum(terms, 0, out=result[some, rows])
    return result


def integer_product(a: Tensor, b: Tensor, out: Tensor) -> None:
    """a (m, k) times b (k, n), both int8, into `out`: int32 (m, n), exact for k up to 133 000."""
    if len(b) == 1:
        b = b.flatten()[None]  # PyTorch 2.13 on a CPU gives nonsense for a (1, n) matrix with strides (1, 1)
    if a.device.type != "cuda":
        torch._int_mm(a, b, out=out)
        return
    inner, outer = -a.shape[1] % _CUDA_MULTIPLE, -b.shape[1] % _CUDA_MULTIPLE
    rows = max(_CUDA_ROWS - len(a), -len(a) % _CUDA_MULTIPLE)
    by_columns = pad(b.t(), (0, inner, 0, outer)).t()  # the only layout of the second matrix that cuBLAS has in int8
    filled = torch._int_mm(pad(a, (0, inner, 0, rows)), by_columns)
    out.copy_(filled[: len(a), : b.shape[1]])
