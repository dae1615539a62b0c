"""The importance of a structure as the sum of the importances of its weights."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from methods.lm_compression.structured_pruning._cut import kv_groups


def of_groups(attention: Any, importance: Callable[[Any], Tensor], *, normalised: bool = False) -> Tensor:
    """Importance of each KV group: its rows of q_proj, k_proj, v_proj and its columns of o_proj, (groups,) on the CPU.

    importance(linear): of each weight, (out, in). normalised: the sums over one matrix are divided by their Euclidean
    norm before the matrices are added, so that each has an equal say.
    """
    count = kv_groups(attention)
    matrices = [importance(getattr(attention, name)) for name in ("q_proj", "k_proj", "v_proj")]
    matrices.append(importance(attention.o_proj).T)
    return _added([matrix.reshape(count, -1).sum(1) for matrix in matrices], normalised)


def of_neurons(mlp: Any, importance: Callable[[Any], Tensor], *, normalised: bool = False) -> Tensor:
    """Importance of each neuron: its rows of gate_proj and up_proj, its column of down_proj, (neurons,) on the CPU."""
    sums = [importance(mlp.gate_proj).sum(1), importance(mlp.up_proj).sum(1), importance(mlp.down_proj).sum(0)]
    return _added(sums, normalised)


def _added(sums: list[Tensor], normalised: bool) -> Tensor:
    if normalised:
        sums = [part / part.norm().clamp_min(torch.finfo(part.dtype).tiny) for part in sums]
    return torch.stack(sums).sum(0).cpu()
