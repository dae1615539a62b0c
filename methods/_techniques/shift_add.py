"""A linear layer of binary codes that multiplies by nothing: activations are shifted, sums looked up and added.

y = W x comes in three steps. The activations are scaled by the powers of two of each
bit: an integer addition to the exponent field of a float. For every eight of them all 256 sums with signs are written
into a table, each from another one by an addition. A byte of signs is then an address, and an output is the sum of what
stands at its addresses (after LUT-GEMM, Park et al., 2022, and ShiftAddLLM, You et al., 2024).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from methods._techniques.binary import exponents, scale_values, sign_table

BYTE = 8
KERNEL_ROWS = 8
"""Up to so many input rows the tables are the faster way, where all rows of the matrix share them; more go through a
dense product with the weights that the codes stand for. Measured on an AVX-512 CPU, one thread, 3 bits, 1536 x 576: the
tables take 0.8 ms for one row and 1.5 ms for 8, writing the weights out takes 2.0 ms, a dense 16-bit product 0.1 ms.
Eight blocks of rows need eight sets of tables: 4 ms for one row."""


@dataclass(frozen=True)
class BinaryCodes:
    """signs: uint8 (rows, bits * columns / 8), bit after bit; bit j of a byte is column 8 g + j, set for +.
    scales: int8 (bits, row blocks, column blocks, terms), of _binary.power_terms."""

    signs: Tensor
    scales: Tensor


def packed_signs(choice: Tensor, bits: int) -> Tensor:
    """Bytes (rows, bits * columns / 8) of choices (rows, columns), as _binary.assign gives them."""
    grouped = choice.unflatten(1, (-1, BYTE))
    places = torch.arange(BYTE, device=choice.device)
    return torch.cat([((grouped >> bit & 1) << places).sum(-1) for bit in range(bits)], 1).to(torch.uint8)


def blank_codes(rows: int, columns: int, bits: int, terms: int, width: int, device: torch.device) -> BinaryCodes:
    """As large as codes of a matrix are, and empty: for weighing. width: columns that share scales."""
    signs = torch.zeros(rows, bits * columns // BYTE, dtype=torch.uint8, device=device)
    blocks = (bits, row_blocks(rows, width), columns // width, terms)
    return BinaryCodes(signs, torch.zeros(blocks, dtype=torch.int8, device=device))


def row_blocks(rows: int, width: int) -> int:
    """Blocks that rows fall into where `width` columns share a scale: as many scales as single columns would have."""
    return width if rows % width == 0 else 1


class ShiftAddLinear(nn.Module):
    """y = W x + bias, W in binary codes."""

    signs: Tensor
    scales: Tensor
    bias: Tensor | None

    def __init__(self, codes: BinaryCodes, bias: Tensor | None = None) -> None:
        super().__init__()
        self.bits = len(codes.scales)
        self.out_features, self.in_features = len(codes.signs), codes.signs.shape[1] * BYTE // self.bits
        self.register_buffer("signs", codes.signs)
        self.register_buffer("scales", codes.scales)
        self.register_buffer("bias", bias)

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., in) -> (..., out)."""
        inputs = x.reshape(-1, self.in_features)
        if len(inputs) * self.scales.shape[1] <= KERNEL_ROWS:
            y = self.looked_up(inputs).to(x.dtype)
        else:
            y = functional.linear(inputs, self.matrix(x.dtype))
        if self.bias is not None:
            y = y + self.bias
        return y.view(*x.shape[:-1], self.out_features)

    def looked_up(self, inputs: Tensor) -> Tensor:
        """inputs (count, in) -> float32 (count, out), by shifts, look-ups and additions alone."""
        values = inputs.T.float().contiguous()
        columns = self._of_columns(self.scales)
        parts = []
        for block, signs in enumerate(self.signs.chunk(columns.shape[1])):
            shifted = sum(_shifted(values, term[..., None]) for term in columns[:, block].unbind(-1))
            tables = _signed_sums(shifted.view(-1, BYTE, len(inputs)))  # type: ignore[union-attr]
            starts = torch.arange(len(tables), device=signs.device, dtype=torch.int32) * 2**BYTE
            parts.append(functional.embedding_bag(signs.int() + starts, tables.flatten(0, 1), mode="sum"))
        return torch.cat(parts).T

    def matrix(self, dtype: torch.dtype) -> Tensor:
        """The weights that the codes stand for, (out, in)."""
        bytes_to_signs = sign_table(BYTE, self.signs.device).to(dtype)
        scales = self._of_columns(scale_values(self.scales)[..., None])[..., 0].to(dtype)
        blocks = scales.shape[1]
        weight = torch.zeros(blocks, self.out_features // blocks, self.in_features, dtype=dtype, device=scales.device)
        for signs, scale in zip(self.signs.chunk(self.bits, 1), scales, strict=True):
            spread = functional.embedding(signs.int(), bytes_to_signs).view(weight.shape)
            weight.addcmul_(spread, scale[:, None])
        return weight.flatten(0, 1)

    def _of_columns(self, scales: Tensor) -> Tensor:
        """(bits, row blocks, column blocks, ...) -> (bits, row blocks, columns, ...)."""
        return scales.repeat_interleave(self.in_features // scales.shape[2], 2)


def _shifted(values: Tensor, codes: Tensor) -> Tensor:
    """values, float32 (columns, count), times the powers of two of codes (bits, columns, 1), without multiplying:
    the exponent is added to the exponent's bits, the sign flips the sign's. What would fall below 2^-126 is 0."""
    raw = values.view(torch.int32)
    shift = exponents(codes)
    exponent = (raw >> 23) & 0xFF
    moved = raw + (shift << 23) ^ (codes.to(torch.int32) & -(2**31))
    return torch.where((exponent > 0) & (exponent + shift > 0) & (codes != 0), moved, 0).view(torch.float32)


def _signed_sums(values: Tensor) -> Tensor:
    """All sums +-v_0 +-v_1...: (groups, 8, count) -> (groups, 256, count), + where the bit of the place is set."""
    groups, size, count = values.shape
    sums = values.new_empty(groups, 2**size, count)
    sums[:, 0] = -values.sum(1)
    for bit in range(size):
        value = values[:, bit : bit + 1]
        torch.add(sums[:, : 2**bit], value + value, out=sums[:, 2**bit : 2 ** (bit + 1)])
    return sums
