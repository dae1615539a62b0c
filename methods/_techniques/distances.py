"""How far a cut model's output is from the dense model's: 0 for equal outputs, lower is closer.

Each distance takes the logits of both, (positions, vocabulary) in float32, and gives one value per position.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, log_softmax

CPU_CHUNK = 2**18
GPU_CHUNK = 2**28
"""Logits compared in one go. On a CPU a megabyte, so that the dozen passes over it stay in the cache (three times
as fast as all positions at once); on a GPU what fits the memory."""


def jensen_shannon(dense: Tensor, cut: Tensor) -> Tensor:
    """(KL(p | m) + KL(q | m)) / 2 with m = (p + q) / 2, in nats: between 0 and log 2."""
    log_p, log_q = log_softmax(dense, -1), log_softmax(cut, -1)
    p, q = log_p.exp(), log_q.exp()
    # Where p and q both underflow to 0 the logarithm must stay finite, so that the product is 0.
    log_m = ((p + q) / 2).clamp_min(torch.finfo(p.dtype).tiny).log()
    return (p * (log_p - log_m) + q * (log_q - log_m)).sum(-1) / 2


def kullback_leibler(dense: Tensor, cut: Tensor) -> Tensor:
    """KL(dense | cut), in nats."""
    log_p = log_softmax(dense, -1)
    return (log_p.exp() * (log_p - log_softmax(cut, -1))).sum(-1)


def euclidean(dense: Tensor, cut: Tensor) -> Tensor:
    """Euclidean norm of the difference of the logits."""
    return (cut - dense).norm(dim=-1)


def angular(dense: Tensor, cut: Tensor) -> Tensor:
    """Angle between the logits over pi: between 0 and 1."""
    return cosine_similarity(cut, dense, dim=-1).clamp(-1, 1).arccos() / torch.pi


DISTANCES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "js": jensen_shannon,
    "kl": kullback_leibler,
    "norm": euclidean,
    "angular": angular,
}


def mean_distance(metric: str, dense: Tensor, cut: Tensor) -> float:
    """Mean over the positions of the named distance; logits (positions, vocabulary) of any floating type."""
    distance = DISTANCES[metric]
    rows = max(1, (CPU_CHUNK if dense.device.type == "cpu" else GPU_CHUNK) // dense.shape[-1])
    parts = [distance(p.float(), q.float()) for p, q in zip(dense.split(rows), cut.split(rows), strict=True)]
    return torch.cat(parts).double().mean().item()
