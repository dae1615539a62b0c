"""Linear layers and embeddings that store integers in blocks, and multiply integers."""

import torch
from torch import Tensor, nn

from methods._techniques.blockwise import BlockMatrix, Blocks, product, to_blocks


class _BlockModule(nn.Module):
    codes: Tensor
    exponent: Tensor

    def __init__(self, matrix: BlockMatrix) -> None:
        super().__init__()
        self.bits, self.height = matrix.bits, matrix.height
        self.register_buffer("codes", matrix.codes)
        self.register_buffer("exponent", matrix.exponent)

    @property
    def matrix(self) -> BlockMatrix:
        return BlockMatrix(self.bits, self.height, self.codes, self.exponent)


class BlockLinear(_BlockModule):
    """y = W x + bias: x is rounded to 8-bit blocks token by token, the products are integer; the bias, (out,), is kept
    as 8-bit blocks too."""

    bias: Tensor | None
    bias_exponent: Tensor | None

    def __init__(self, matrix: BlockMatrix, bias: Tensor | None = None) -> None:
        super().__init__(matrix)
        self.in_features, self.out_features, self.width = matrix.columns, matrix.rows, matrix.width
        kept = None if bias is None else to_blocks(bias, matrix.height)
        self.register_buffer("bias", None if kept is None else kept.values)
        self.register_buffer("bias_exponent", None if kept is None else kept.exponent.to(torch.int8))

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., in) -> (..., out)."""
        return self.of_blocks(to_blocks(x, self.width)).to(x.dtype)

    def of_blocks(self, x: Blocks) -> Tensor:
        """x: (..., blocks, block) -> float32 (..., out)."""
        tokens = Blocks(x.values.flatten(0, -3), x.exponent.flatten(0, -2))
        y = product(tokens, self.matrix)
        if self.bias is not None and self.bias_exponent is not None:
            y += Blocks(self.bias, self.bias_exponent).floats
        return y.view(*x.values.shape[:-2], self.out_features)


class BlockEmbedding(_BlockModule):
    """Rows of a matrix of blocks, looked up. dtype: of what comes out."""

    def __init__(self, matrix: BlockMatrix, dtype: torch.dtype) -> None:
        super().__init__(matrix)
        self.num_embeddings, self.embedding_dim = matrix.rows, matrix.columns
        self.dtype = dtype

    def forward(self, ids: Tensor) -> Tensor:
        """ids: (...) -> (..., size)."""
        rows = self.matrix.floats_of(ids.reshape(-1))
        return rows.to(self.dtype).view(*ids.shape, self.embedding_dim)
