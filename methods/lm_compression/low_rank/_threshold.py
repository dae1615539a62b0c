"""One threshold on normalised singular values: every matrix gets the rank that its own spectrum asks for."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from methods._techniques.factored import Ranks, shapes
from methods.lm_compression.low_rank._limits import first_within
from suites._language.adapters import decoder_linears
from suites.lm_compression.task import CausalLMTask


def spectra(model: Any) -> dict[str, Tensor]:
    """Normalised singular values of each linear layer of the blocks, by its name."""
    return {name: normalised(model.get_submodule(name).weight) for name in decoder_linears(model)}


def normalised(matrix: Tensor) -> Tensor:
    """Singular values moved and scaled to lie between 0 (the least) and 1 (the greatest): float64, falling, on the CPU.

    All 1 where they are all equal: no part of such a matrix is more than another."""
    wide = matrix.detach() if matrix.dtype == torch.float64 else matrix.detach().float()
    values = torch.linalg.svdvals(wide).double().cpu()
    least, greatest = values[-1], values[0]
    return (values - least) / (greatest - least) if greatest > least else torch.ones_like(values)


def low_ranks(of: Mapping[str, Tensor], threshold: float, reduction: float) -> Ranks:
    """Ranks of the low-rank components: of the matrices that lose more than `reduction` of their rank when singular
    values below the threshold go. The others are left out: they stay dense, whole. threshold: from 0 to 1."""
    kept = {name: int((values >= threshold).sum()) for name, values in of.items()}
    return {name: rank for name, rank in kept.items() if 1 - rank / len(of[name]) > reduction}


def ranks_by_threshold(task: CausalLMTask, reduction: float) -> Ranks:
    """Low ranks at the lowest threshold that meets the limits."""
    values = spectra(task.model)
    matrices = shapes(task.model, list(values))
    # (value, parameters saved once the threshold is above it), for each value at which a matrix grows smaller.
    events: list[tuple[float, int]] = []
    for name, (out, inner) in matrices.items():
        held = out * inner
        for rank in range(len(values[name]) - 1, 0, -1):
            if 1 - rank / len(values[name]) > reduction:
                events.append((float(values[name][rank]), held - rank * (out + inner)))
                held = rank * (out + inner)
    events.sort()
    thresholds = [value for value, _ in events] + [1.0]  # the greatest value of each matrix is 1, and stays

    def ranks(count: int) -> Ranks:
        """With the threshold above the first `count` of those values, and no higher."""
        return low_ranks(values, thresholds[count], reduction)

    return first_within(task, [saved for _, saved in events], ranks)
