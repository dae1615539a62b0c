"""Control: feed-forward executions skipped at random."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bench.contract import Card, Method
from methods.lm_compression._calibration import calibration_batch
from methods.lm_compression.dynamic_depth._skipping import Region, SkipPolicy, least_skipping, skipping, unmet
from methods.lm_compression.layer_dropping._sublayers import blocks
from suites.lm_compression.task import CausalLMTask

STEPS = 1024
"""Probabilities that are tried are multiples of one over this."""

POSITIONS = 2048
"""Positions after which the draw repeats itself."""


@dataclass(frozen=True)
class RandomFFNSkip(Method[CausalLMTask]):
    """Skips each FFN for each token with one probability, the lowest that meets the operating point.

    Everything else is as in `ffn-skipllm`: cold regions, warm-up, attention, and the share of skipped executions where
    nothing is limited. The draw is fixed by the seed for each block and position, so that a token has the same fate
    whether it is read with the prompt or decoded with the cache.
    """

    card = Card(
        slug="random-ffn-skip",
        title="Random FFN executions",
        paper="Control: feed-forward networks skipped at random, token by token",
        control=True,
        stochastic=True,
        seeds=10,
    )

    cold: float = 0.1
    warm_up: int = 4
    share: float = 0.25
    samples: int = 4
    length: int = 512

    def supports(self, task: CausalLMTask) -> str | None:
        return unmet(task, self._policy(task, 1.0))

    def build(self, task: CausalLMTask) -> nn.Module:
        windows = calibration_batch(task, self.samples, self.length)
        levels = [step / STEPS for step in range(STEPS + 1)]
        policy = least_skipping(task, windows, self.share, levels, lambda p: self._policy(task, p))
        return skipping(task.model, policy)

    def _policy(self, task: CausalLMTask, probability: float) -> SkipPolicy:
        region = Region.between(len(blocks(task.model)), self.cold, self.warm_up)
        return Chance(region, probability, task.seed, task.device)


class Chance:
    """Skips with a probability, by a table of uniform draws (blocks, positions): a higher one skips these and more."""

    def __init__(self, region: Region, probability: float, seed: int, device: Any) -> None:
        self.region = region
        draws = torch.rand(region.last + 1, POSITIONS, generator=torch.Generator().manual_seed(seed))
        self.run = (draws >= probability).to(device)

    def runs(self, block: int, positions: Tensor) -> Tensor:
        return self.run[block, positions % POSITIONS]

    def ran(self, block: int, rows: Tensor, before: Tensor, after: Tensor) -> None:
        """Chance does not look."""
