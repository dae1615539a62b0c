"""Linear layers and embeddings that store 2, 3 or 4 bits a weight, really packed.

PyTorch has a 4-bit kernel for CPUs (aten::_weight_int4pack_mm_for_cpu): it reads packed weights and computes in
bfloat16. Its layout is ours: rows stand in blocks (of 64 with AVX-512), a block holds for each input the bytes of its
rows, the first half of them in the low four bits, the second half in the high four. 2- and 3-bit weights are stored as
that layout folded up along the input, so that a few operations on bytes, far less work than the product, unfold them:

- 2 bits: byte (input j) holds the low two bits of each nibble for inputs j and j + columns / 2;
- 3 bits: as 2 bits, and a byte more holds the third bit for inputs j, j + columns / 4...

Few rows of input (decoding) go through the kernel. Many rows (prompts) go through a product in 16 bits with weights
that are widened piece by piece, as a piece stays in the cache. Elsewhere (other devices, other types) all products do.
"""

import math
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn

from methods._techniques.grid import Grid, Quantised, packed_type

KERNEL_INPUTS = 48
"""Up to so many input rows the kernel is the faster way: measured on an AVX-512 CPU with a matrix of 1536 x 576, where
it takes 0.05 ms for one row (16 bits: 0.08 ms) and 0.7 ms for 32, and widening takes 0.6 ms before any product."""

KERNEL_GROUPS = (32, 64, 128, 256)
PIECE = 2048
"""Rows of a matrix that are widened at a time."""

_BLOCK = 64
_PAD = 8
_LOW = {torch.uint8: 0x33, torch.int32: 0x33333333}
_THIRD = {torch.uint8: 0x44, torch.int32: 0x44444444}
"""Bits of a byte, or of each of four: what a shift brings in from the next byte is masked away."""


@dataclass(frozen=True)
class Packed:
    """A packed matrix. low: uint8 (blocks, columns or half of them, rows of a block / 2). high: the third bits, uint8
    (blocks, columns / 4, rows of a block / 2), with 3 bits alone. grid: step and offset, 16 bits (groups, rows, 2).
    Rows are filled up to a multiple of 8. `rows` of them are meant.
    """

    bits: int
    rows: int
    low: Tensor
    high: Tensor | None
    grid: Tensor


def unpackable(rows: int, columns: int) -> str | None:
    """Why a matrix of this shape can't be packed, or None if it can."""
    return (
        f"a matrix of {rows} x {columns} can't be packed: 3 bits need a multiple of 4 columns" if columns % 4 else None
    )


def pack(quantised: Quantised, dtype: torch.dtype) -> Packed:
    """dtype: of the model's weights."""
    codes, grid = quantised.codes, quantised.grid
    rows, columns = codes.shape
    padded, block = _blocks(rows)
    blocks = _padded(codes, padded).view(-1, block, columns).transpose(1, 2)
    nibbles = blocks[..., : block // 2] | blocks[..., block // 2 :] << 4
    low, high = _fold(nibbles, grid.bits)
    pairs = torch.stack([_padded(grid.scale, padded), _padded(grid.zero, padded)], -1)
    return Packed(grid.bits, rows, low, high, pairs.transpose(0, 1).to(packed_type(dtype)).contiguous())


def blank(rows: int, columns: int, bits: int, group: int, dtype: torch.dtype, device: torch.device) -> Packed:
    """As large as `pack` would make it, and empty: for weighing."""
    padded, block = _blocks(rows)

    def zeros(share: int) -> Tensor:
        return torch.zeros(padded // block, columns // share, block // 2, dtype=torch.uint8, device=device)

    # Turned round as in `pack`: where there is one group alone, its stride tells, and is written.
    pairs = torch.zeros(padded, columns // group, 2, dtype=packed_type(dtype), device=device)
    grid = pairs.transpose(0, 1).contiguous()
    return Packed(bits, rows, zeros(1 if bits == 4 else 2), zeros(4) if bits == 3 else None, grid)


def _blocks(rows: int) -> tuple[int, int]:
    """(rows filled up, rows of a block): blocks are those of the kernel where the rows come out even."""
    padded = math.ceil(rows / _PAD) * _PAD
    return padded, math.gcd(padded, kernel_block() or _BLOCK)


def _padded(matrix: Tensor, rows: int) -> Tensor:
    return nn.functional.pad(matrix, (0, 0, 0, rows - len(matrix)))


def _fold(nibbles: Tensor, bits: int) -> tuple[Tensor, Tensor | None]:
    """nibbles: (blocks, columns, half a block) with two codes a byte."""
    if bits == 4:
        return nibbles.contiguous(), None
    first, second = (nibbles & _LOW[torch.uint8]).chunk(2, 1)
    low = first | second << 2
    if bits == 2:
        return low.contiguous(), None
    third = (nibbles & _THIRD[torch.uint8]).chunk(4, 1)
    return low.contiguous(), (third[0] >> 2 | third[1] >> 1 | third[2] | third[3] << 1).contiguous()


def _unfold(low: Tensor, high: Tensor | None, bits: int) -> Tensor:
    """What `_fold` folded; also rows of it, with columns in dimension 1, and also four bytes at a time as int32."""
    if bits == 4:
        return low
    half = low.shape[1]
    nibbles = low.new_empty(low.shape[0], 2 * half, *low.shape[2:])
    torch.bitwise_and(low, _LOW[low.dtype], out=nibbles[:, :half])
    torch.bitwise_and(low >> 2, _LOW[low.dtype], out=nibbles[:, half:])
    if high is not None:
        for part, moved in zip(nibbles.chunk(4, 1), (high << 2, high << 1, high, high >> 1), strict=True):
            part.bitwise_or_(moved & _THIRD[low.dtype])
    return nibbles


class _PackedModule(nn.Module):
    low: Tensor
    high: Tensor | None
    grid: Tensor

    def __init__(self, packed: Packed) -> None:
        super().__init__()
        self.bits, self.rows = packed.bits, packed.rows
        self.block = 2 * packed.low.shape[2]
        self.columns = packed.low.shape[1] * (1 if packed.bits == 4 else 2)
        self.group = self.columns // len(packed.grid)
        self.register_buffer("low", packed.low)
        self.register_buffer("high", packed.high)
        self.register_buffer("grid", packed.grid)

    def _apply(self, fn, recurse=True):  # type: ignore[no-untyped-def]
        """Steps and offsets stay in their 16 bits when a model is cast: the codes were chosen for them."""
        kept = self.grid
        super()._apply(fn, recurse)
        self.grid = kept.to(self.grid.device)
        return self


class PackedLinear(_PackedModule):
    """y = W x + bias, W packed."""

    def __init__(self, packed: Packed, bias: Tensor | None = None) -> None:
        super().__init__(packed)
        self.in_features, self.out_features = self.columns, self.rows
        self.register_buffer("bias", bias)

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., in) -> (..., out)."""
        inputs = x.reshape(-1, self.columns).contiguous()
        by_kernel = len(inputs) <= KERNEL_INPUTS and self._kernel_reads(x)
        product = self._kernel_product if by_kernel else self._wide_product
        step = max(1, PIECE // self.block)
        if by_kernel and self.bits == 4:
            step = len(self.low)  # nothing to unfold: all at once
        parts = [product(inputs, slice(start, start + step)) for start in range(0, len(self.low), step)]
        y = (parts[0] if len(parts) == 1 else torch.cat(parts, 1))[:, : self.rows]
        if self.bias is not None:
            y = y + self.bias
        return y.reshape(*x.shape[:-1], self.rows)

    def _kernel_reads(self, x: Tensor) -> bool:
        return (
            x.device.type == "cpu"
            and x.dtype == self.grid.dtype == torch.bfloat16
            and self.group in KERNEL_GROUPS
            and self.block == kernel_block()
        )

    def _kernel_product(self, inputs: Tensor, blocks: slice) -> Tensor:
        nibbles, grid = self._piece(blocks)
        packed = nibbles.view(-1, self.columns // 2)
        return torch.ops.aten._weight_int4pack_mm_for_cpu(inputs, packed, self.group, grid.contiguous())

    def _wide_product(self, inputs: Tensor, blocks: slice) -> Tensor:
        nibbles, grid = self._piece(blocks)
        codes = torch.cat((nibbles & 15, nibbles >> 4), -1).to(inputs.dtype)
        codes = codes.view(-1, self.columns // self.group, self.group, self.block)
        # step and offset: (blocks, groups, 1, rows of a block)
        scale, zero = grid.to(inputs.dtype).unflatten(1, (-1, self.block)).permute(3, 1, 0, 2).unsqueeze(3).contiguous()
        weight = torch.addcmul(zero - 8 * scale, codes, scale).view(-1, self.columns, self.block)
        return inputs @ weight.transpose(0, 1).reshape(self.columns, -1)

    def _piece(self, blocks: slice) -> tuple[Tensor, Tensor]:
        """Nibbles (blocks, columns, half a block) and grid (groups, rows, 2) of some blocks."""
        words = self.low[blocks].view(torch.int32)
        high = None if self.high is None else self.high[blocks].view(torch.int32)
        rows = slice(blocks.start * self.block, blocks.stop * self.block)
        return _unfold(words, high, self.bits).view(torch.uint8), self.grid[:, rows]


class PackedEmbedding(_PackedModule):
    """Rows of a packed matrix, looked up."""

    def __init__(self, packed: Packed, dtype: torch.dtype) -> None:
        super().__init__(packed)
        self.num_embeddings, self.embedding_dim = self.rows, self.columns
        self.dtype = dtype

    def forward(self, ids: Tensor) -> Tensor:
        """ids: (...) -> (..., size), in the type of the model."""
        flat = ids.reshape(-1)
        block, row = flat // self.block, flat % self.block
        byte, is_high = row % (self.block // 2), row // (self.block // 2)
        high = None if self.high is None else self.high[block, :, byte]
        nibbles = _unfold(self.low[block, :, byte], high, self.bits)
        codes = torch.where(is_high[:, None] == 1, nibbles >> 4, nibbles & 15)
        scale, zero = self.grid[:, flat].permute(2, 1, 0).float().repeat_interleave(self.group, 2)
        values = (codes.float() - 8) * scale + zero
        return values.to(self.dtype).view(*ids.shape, self.columns)


@cache
def kernel_block() -> int | None:
    """Rows of a block in the layout of this CPU's 4-bit kernel; None where the kernel has another layout or is missing.

    Found by trying: the layout differs with the instruction set.
    """
    codes = torch.randint(0, 16, (128, 32), generator=torch.Generator().manual_seed(0), dtype=torch.int32)
    try:
        theirs = torch.ops.aten._convert_weight_to_int4pack_for_cpu(codes, 1).flatten()
    except (AttributeError, NotImplementedError, RuntimeError):
        return None
    for block in (64, 32):
        rows = codes.to(torch.uint8).view(-1, block, 32).transpose(1, 2)
        if torch.equal((rows[..., : block // 2] | rows[..., block // 2 :] << 4).flatten(), theirs):
            return block
    return None


def unpack(packed: Packed) -> Quantised:
    """The codes and the grid that went in."""
    nibbles = _unfold(packed.low, packed.high, packed.bits)
    codes = torch.cat((nibbles & 15, nibbles >> 4), -1).transpose(1, 2).flatten(0, 1)[: packed.rows]
    scale, zero = packed.grid[:, : packed.rows].permute(2, 1, 0).float()
    return Quantised(Grid(packed.bits, codes.shape[1] // len(packed.grid), scale, zero), codes)
