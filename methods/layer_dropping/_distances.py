"""How far a cut model's output is from the dense model's: mean over positions; 0 for equal outputs, lower is closer.

Each takes the dense model's logits (positions, vocabulary) once and gives a function of another model's logits.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, log_softmax

Distance = Callable[[Tensor], float]


def jensen_shannon(dense: Tensor) -> Distance:
    """(KL(p | m) + KL(q | m)) / 2 with m = (p + q) / 2, in nats: between 0 and log 2."""
    log_p = log_softmax(dense, -1)
    p = log_p.exp()

    def distance(logits: Tensor) -> float:
        log_q = log_softmax(logits, -1)
        q = log_q.exp()
        # Where p and q both underflow to 0 the logarithm must stay finite, so that the product is 0.
        log_m = ((p + q) / 2).clamp_min(torch.finfo(p.dtype).tiny).log()
        return ((p * (log_p - log_m) + q * (log_q - log_m)).sum(-1).mean() / 2).item()

    return distance


def kullback_leibler(dense: Tensor) -> Distance:
    """KL(p | q), p of the dense model, in nats."""
    log_p = log_softmax(dense, -1)
    p = log_p.exp()
    return lambda logits: (p * (log_p - log_softmax(logits, -1))).sum(-1).mean().item()


def euclidean(dense: Tensor) -> Distance:
    """Euclidean norm of the difference of the logits."""
    return lambda logits: (logits - dense).norm(dim=-1).mean().item()


def angular(dense: Tensor) -> Distance:
    """Angle between the logits over pi: between 0 and 1."""
    return lambda logits: (cosine_similarity(logits, dense, dim=-1).clamp(-1, 1).arccos() / torch.pi).mean().item()


DISTANCES: Mapping[str, Callable[[Tensor], Distance]] = {
    "js": jensen_shannon,
    "kl": kullback_leibler,
    "norm": euclidean,
    "angular": angular,
}
