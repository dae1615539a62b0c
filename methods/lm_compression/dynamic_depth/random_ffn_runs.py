"""Control: feed-forward executions skipped a few in a row, from random places on."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bench.contract import Card
from methods.lm_compression.dynamic_depth._skipping import Region
from methods.lm_compression.dynamic_depth.ffn_skipllm import Saturation
from methods.lm_compression.dynamic_depth.random_ffn_skip import POSITIONS, RandomFFNSkip
from methods.lm_compression.layer_dropping._sublayers import blocks
from suites.lm_compression.task import CausalLMTask


@dataclass(frozen=True)
class RandomFFNRuns(RandomFFNSkip):
    """Skips as `ffn-skipllm` does, but for where: after an FFN that ran, chance says whether the next few are skipped.

    What it loses more is what the look at the input is worth; what `random-ffn-skip` loses besides comes of skipping
    without order, many in a row at times. skip: FFNs that a token skips at once, as in `ffn-skipllm`.
    """

    card = Card(
        slug="random-ffn-runs",
        title="Random FFN executions, in runs",
        paper="Control: feed-forward networks skipped a few in a row, from random places on, token by token",
        control=True,
        stochastic=True,
        seeds=10,
    )

    skip: int = 2

    def _policy(self, task: CausalLMTask, probability: float) -> "Tossed":
        region = Region.between(len(blocks(task.model)), self.cold, self.warm_up)
        return Tossed(region, probability, self.skip, task.seed, task.device)


class Tossed(Saturation):
    """After an FFN a token skips the next `skip` with a probability, by a table of draws (blocks, positions)."""

    def __init__(self, region: Region, probability: float, skip: int, seed: int, device: Any) -> None:
        super().__init__(region, probability, skip)
        draws = torch.rand(region.last + 1, POSITIONS, generator=torch.Generator().manual_seed(seed))
        self.starts = (draws < probability).to(device)
        self.positions = torch.empty(0, dtype=torch.long)

    def runs(self, block: int, positions: Tensor) -> Tensor:
        self.positions = positions
        return super().runs(block, positions)

    def ran(self, block: int, rows: Tensor, before: Tensor, after: Tensor) -> None:
        self.left[rows[self.starts[block, self.positions[rows] % POSITIONS]]] = self.skip
