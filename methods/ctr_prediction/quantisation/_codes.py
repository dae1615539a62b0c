"""Rows of a matrix as codes of a few bits each, with a step a row; really packed."""

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from methods._techniques.packed_sparse import pack_bits, unpack_bits

CLIPS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4)
"""Shares of a row's largest weight that the outermost levels may stand at."""


def levels(bits: int) -> int:
    return int(2**bits)


def rounded(weight: Tensor, bits: int, clip: float) -> tuple[Tensor, Tensor]:
    """Codes (rows, columns), 0 to levels - 1, as floats, and steps (rows, 1) of 16 bits. A code is worth
    (code - (levels - 1) / 2) step: as many levels above zero as below."""
    top = weight.detach().abs().amax(1, keepdim=True).clamp(min=1e-4) * clip
    step = (2 * top / (levels(bits) - 1)).half().float()
    middle = (levels(bits) - 1) / 2
    return (weight.detach() / step + middle).round().clamp(0, levels(bits) - 1), step


def valued(codes: Tensor, step: Tensor, bits: int) -> Tensor:
    return (codes - (levels(bits) - 1) / 2) * step


def best_clip(weight: Tensor, bits: int) -> float:
    """Of CLIPS, the one that leaves the least squared error."""

    def error(clip: float) -> float:
        return float((valued(*rounded(weight, bits, clip), bits) - weight.detach()).square().sum())

    return min(CLIPS, key=error)


class Rounded(nn.Module):
    """For training: the weight as it will be stored; gradients go through as if it were not rounded (Bengio et al.,
    2013)."""

    def __init__(self, bits: int, clip: float) -> None:
        super().__init__()
        self.bits, self.clip = bits, clip

    def forward(self, weight: Tensor) -> Tensor:
        return weight + (valued(*rounded(weight, self.bits, self.clip), self.bits) - weight).detach()


class PackedRows(nn.Module):
    """Rows of codes, bit by bit. planes: uint8 (rows, bits columns / 8), the first bit of all codes of a row, then the
    second... step: (rows,) float16."""

    planes: Tensor
    step: Tensor

    def __init__(self, weight: Tensor, bits: int, clip: float) -> None:
        """weight: (rows, columns), columns a multiple of 8."""
        super().__init__()
        self.rows, self.columns, self.bits = *weight.shape, bits
        codes, step = rounded(weight, bits, clip)
        places = torch.arange(bits, device=weight.device)[None, :, None]
        flags = (codes.long()[:, None] >> places & 1).bool()
        self.register_buffer("planes", pack_bits(flags).view(self.rows, -1))
        self.register_buffer("step", step.squeeze(1).half())

    def read(self, rows: Tensor) -> Tensor:
        """The weights of these rows (n,): float32 (n, columns)."""
        return self._weights(self.planes[rows], self.step[rows])

    def all(self) -> Tensor:
        return self._weights(self.planes, self.step)

    def _weights(self, planes: Tensor, step: Tensor) -> Tensor:
        flags = unpack_bits(planes.flatten(), 8 * planes.numel()).view(len(planes), self.bits, self.columns)
        codes = torch.zeros(len(planes), self.columns, device=planes.device)
        for place in range(self.bits):
            codes.add_(flags[:, place], alpha=2**place)
        return valued(codes, step.float()[:, None], self.bits)


class PackedTable(PackedRows):
    """ids (...) -> (..., width): only the rows that are asked for are unpacked."""

    def forward(self, ids: Tensor) -> Tensor:
        return self.read(ids.flatten()).view(*ids.shape, self.columns)


class PackedLayer(PackedRows):
    """A linear layer, unpacked for each call."""

    bias: Tensor

    def __init__(self, weight: Tensor, bits: int, clip: float, bias: Tensor) -> None:
        super().__init__(weight, bits, clip)
        self.register_buffer("bias", bias.detach().clone())

    def forward(self, inputs: Tensor) -> Tensor:
        return linear(inputs, self.all(), self.bias)


class HalfTable(nn.Module):
    """A table at 16 bits, for first-order weights. ids (...) -> (..., width)."""

    held: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("held", weight.detach().half())

    def forward(self, ids: Tensor) -> Tensor:
        return self.held[ids].float()
