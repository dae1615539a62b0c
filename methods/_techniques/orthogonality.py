"""A penalty that keeps the factors of an update near singular vectors (AdaLoRA, Zhang et al., 2023)."""

from collections.abc import Iterable

import torch
from torch import Tensor


def distance_from_orthonormal(factors: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
    """Mean Frobenius distance of A A' and B' B from the identity. factors: pairs of a (rank, inputs), b (outputs,
    rank)."""
    distances = []
    for a, b in factors:
        for gram in (a @ a.T, b.T @ b):
            distances.append(torch.linalg.norm(gram - torch.eye(len(gram), dtype=gram.dtype, device=gram.device)))
    return torch.stack(distances).mean()
