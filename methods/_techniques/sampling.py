"""Draws of a fixed number of blocks in which each block comes as often as its score says, exactly."""

import torch
from torch import Tensor


def inclusion(scores: Tensor, count: int) -> Tensor:
    """Probability of each block to be in a draw of `count`: proportional to its score, and they sum up to `count`.

    scores: (blocks,), not negative. A block whose share would be more than 1 is always in, and the rest is shared by
    the others; where no score is left, they share it evenly. Returns float64 (blocks,).
    """
    scores = scores.double()
    count = min(count, len(scores))
    free = torch.ones(len(scores), dtype=torch.bool)
    while True:
        shares = scores * free if (scores * free).sum() > 0 else free.double()
        chances = torch.where(free, (count - int((~free).sum())) * shares / shares.sum(), 1.0)
        if (chances <= 1 + 1e-12).all():
            return chances.clamp(max=1)
        free &= chances < 1


def draw(chances: Tensor, generator: torch.Generator) -> list[int]:
    """Distinct blocks, as many as the probabilities sum up to, each in with exactly its own.

    Systematic sampling (Madow, 1949): the probabilities are laid end to end in a random order, and one random offset
    places a comb of distance 1 over them. No probability is above 1, so no block is met twice.
    """
    order = torch.randperm(len(chances), generator=generator)
    ends = chances[order].cumsum(0)
    offset = torch.rand((), generator=generator, dtype=torch.float64)
    teeth = offset + torch.arange(round(float(chances.sum())))
    met = torch.searchsorted(ends, teeth, right=True).clamp(max=len(chances) - 1)
    return sorted(order[met].tolist())
