"""SI-SDR (Le Roux et al., 2019), of the better assignment of two answers to two speakers."""

import torch
from torch import Tensor

EPSILON = 1e-8


def si_sdr(estimates: Tensor, targets: Tensor) -> Tensor:
    """(...) in dB, of (..., samples) each: the power of the part of the estimate that is a multiple of the target over
    that of the rest. Means are taken off first. Loudness does not matter."""
    estimates, targets = (each - each.mean(-1, keepdim=True) for each in (estimates, targets))
    power = targets.square().sum(-1, keepdim=True) + EPSILON
    aimed = (estimates * targets).sum(-1, keepdim=True) / power * targets
    rest = (estimates - aimed).square().sum(-1) + EPSILON
    return 10 * ((aimed.square().sum(-1) + EPSILON) / rest).log10()


def best_of_both(estimates: Tensor, targets: Tensor) -> Tensor:
    """(n, 2): the SI-SDR of each target, by the assignment with the greater sum. Both (n, 2, samples)."""
    straight, crossed = si_sdr(estimates, targets), si_sdr(estimates.flip(1), targets)
    better = straight.sum(-1, keepdim=True) >= crossed.sum(-1, keepdim=True)
    return torch.where(better, straight, crossed)


def improvement(estimates: Tensor, targets: Tensor) -> Tensor:
    """(n, 2) in dB: how much better than the mix itself."""
    mix = targets.sum(1, keepdim=True).expand_as(targets)
    return best_of_both(estimates, targets) - si_sdr(mix, targets)
