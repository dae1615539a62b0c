"""A linear layer that stores a bitmap and the surviving weights of a sparse matrix, and nothing else.

One bit a weight says where the survivors are: at half sparsity a 16-bit matrix takes 9/16 of its dense bytes. For 2:4
sparsity this is no worse than the format of the hardware, whose two 2-bit indices for every four weights come to one
bit a weight as well, so that one format serves both.

The matrix is unpacked for the time of each product: the bytes are saved, time is not. PyTorch's CSR product on a CPU
was tried in its place: on a matrix of 1536 x 576 at half sparsity (one AVX-512 core, float32) it took 7 times as long
as the dense product for one row of input and 2.8 times for 512, and its 64-bit indices would take more bytes than
they save.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class SparseLinear(nn.Module):
    """y = W x + bias. bitmap: uint8 (ceil(out x in / 8),), one bit for each weight in the order of the rows, the lowest
    bit first; values: (survivors,) in the type of the activations; bias: (out,) or None.
    """

    def __init__(self, weight: Tensor, kept: Tensor, bias: Tensor | None = None) -> None:
        """weight: (out, in); kept: bool (out, in), which of its weights survive, zeros among them included."""
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self.register_buffer("bitmap", pack_bits(kept))
        self.register_buffer("values", weight.detach()[kept])
        self.register_buffer("bias", bias.detach().clone() if bias is not None else None)

    def dense(self) -> Tensor:
        """W with its zeros: (out, in)."""
        kept = unpack_bits(self.bitmap, self.out_features * self.in_features)
        weight = torch.zeros(len(kept), dtype=self.values.dtype, device=kept.device)
        return weight.masked_scatter_(kept, self.values).view(self.out_features, self.in_features)

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., in) -> (..., out)."""
        return functional.linear(x, self.dense(), self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, survivors={len(self.values)}"


def pack_bits(flags: Tensor) -> Tensor:
    """Bool of any shape -> uint8 (ceil(flags / 8),), the lowest bit first, filled up with zeros."""
    bits = functional.pad(flags.flatten(), (0, -flags.numel() % 8)).view(-1, 8)
    places = torch.arange(8, dtype=torch.uint8, device=flags.device)
    return (bits.to(torch.uint8) << places).sum(1, dtype=torch.uint8)


def unpack_bits(packed: Tensor, count: int) -> Tensor:
    """The first `count` bits of `pack_bits`: bool (count,)."""
    return torch.take(_eight_flags(packed.device), packed.long()).view(torch.bool)[:count]


@cache
def _eight_flags(device: torch.device) -> Tensor:
    """For every byte its bits as eight booleans, which lie in the eight bytes of one int64: (256,). One look-up for
    eight weights is the fastest way to unpack that PyTorch's operators offer."""
    bits = (torch.arange(256)[:, None] >> torch.arange(8)) & 1
    return bits.to(torch.uint8).view(torch.int64).flatten().to(device)


def pack(model: Any, kept: Mapping[str, Tensor]) -> Any:
    """`model` with these linear layers (by dotted name; bool (out, in)) packed, in place; returned in eval mode."""
    for name, mask in kept.items():
        linear = model.get_submodule(name)
        model.set_submodule(name, SparseLinear(linear.weight, mask, linear.bias))
    return model.eval()
