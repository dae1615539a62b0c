"""Linear and embedding modules that store 8-bit weights, and compute with PyTorch's int8 kernel."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

KERNEL_ROWS = 16
"""Up to so many input rows the int8 kernel is the faster way: it reads half the bytes, and decoding waits for bytes.

With more rows the arithmetic decides, and there a float product with the weights cast on the fly is faster: measured
on an AVX-512 CPU with matrices of 576 x 1536, about 2.7 times for 512 rows.
"""

KERNEL_INNER = 16
"""The kernel reads rows in steps of so many weights, and past the end of a row that is no multiple of it."""


class Int8Linear(nn.Module):
    """y = scale * (q x) + bias; q: int8 (out, in), scale: (out,) in the type of the activations."""

    def __init__(self, quantised: Tensor, scale: Tensor, bias: Tensor | None = None) -> None:
        super().__init__()
        self.out_features, self.in_features = quantised.shape
        self.register_buffer("weight", quantised)
        self.register_buffer("scale", scale)
        self.register_buffer("bias", bias)

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., in) -> (..., out)."""
        rows = x.reshape(-1, self.in_features)
        if len(rows) <= KERNEL_ROWS and self.in_features % KERNEL_INNER == 0:
            y = torch.ops.aten._weight_int8pack_mm(rows.contiguous(), self.weight, self.scale)
        else:
            y = functional.linear(rows, self.weight.to(x.dtype)) * self.scale
        if self.bias is not None:
            y = y + self.bias
        return y.view(*x.shape[:-1], self.out_features)


class Int8Embedding(nn.Module):
    """Rows of scale * q, looked up: q: int8 (tokens, size), scale: (tokens,)."""

    def __init__(self, quantised: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.num_embeddings, self.embedding_dim = quantised.shape
        self.register_buffer("weight", quantised)
        self.register_buffer("scale", scale)

    def forward(self, ids: Tensor) -> Tensor:
        """ids: (...) -> (..., size)."""
        return self.weight[ids].to(self.scale.dtype) * self.scale[ids].unsqueeze(-1)


def quantise_rows(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Symmetric rounding to the nearest of 255 levels, one scale a row: int8 (rows, columns), scale (rows,).

    The scale is rounded to the weight's type before the weights are divided by it, so a 16-bit scale costs levels
    nothing: |w - scale * q| <= scale / 2, except at a row's largest weight, where it is <= scale.
    """
    rows = weight.detach().float()
    scale = (rows.abs().amax(1) / 127).to(weight.dtype)
    scale = torch.where(scale == 0, torch.ones_like(scale), scale)
    return (rows / scale.float()[:, None]).round().clamp(-127, 127).to(torch.int8), scale


def stored_bytes(model: Any) -> int:
    """Bytes of all distinct tensors of the state dict."""
    distinct = {id(tensor): tensor for tensor in model.state_dict(keep_vars=True).values()}
    return sum(tensor.numel() * tensor.element_size() for tensor in distinct.values())
