"""Control: gradient checkpointing (Chen et al., 2016), by PyTorch, of the same U-Net."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from bench.contract import Built, Card, Method
from methods.volumetric_segmentation._network import Stage, UNet
from methods.volumetric_segmentation._training import BLOCKS, WIDTH, fit_widest, nothing_to_save, too_large
from suites._training.trainer import Trainer
from suites.volumetric_segmentation.learning import VolumeBatch, VolumeLearner
from suites.volumetric_segmentation.task import SegmentationTask


class CheckpointedStage(Stage):
    """The same stage. Of each branch its input is kept, and its inside computed once more for the backward pass."""

    def forward(self, x: Tensor) -> Tensor:
        x1, x2 = x.chunk(2, 1)
        for block in self.blocks:
            # There is no dropout whose draws would have to be repeated.
            x1 = x1 + checkpoint(block.f, x2, use_reentrant=False, preserve_rng_state=False)
            x2 = x2 + checkpoint(block.g, x1, use_reentrant=False, preserve_rng_state=False)
        return torch.cat([x1, x2], 1)


@dataclass(frozen=True)
class CheckpointedUNet(Method[SegmentationTask]):
    """What the reversible U-Net has to be held against: the same recomputation, with the inputs of all branches kept.

    Checkpoints stand at every branch, as the reversible one recomputes a branch at a time; at every block they would
    need more. width, blocks, rate: as of the plain U-Net.
    """

    card = Card(
        slug="unet-checkpoint",
        title="U-Net, checkpointed",
        paper="Control: Chen et al., 2016. Training Deep Nets with Sublinear Memory Cost",
        url="https://arxiv.org/abs/1604.06174",
        control=True,
        stochastic=True,
        notes="By torch.utils.checkpoint. Where the plain U-Net meets the limit on memory there is nothing to save.",
    )

    width: int = WIDTH
    blocks: int = BLOCKS
    rate: float = 3e-2

    def supports(self, task: SegmentationTask) -> str | None:
        return nothing_to_save(task) or too_large(task, self._training)

    def build(self, task: SegmentationTask) -> Built:
        return fit_widest(task, self._training, self.width, self.rate)

    def _training(self, width: int) -> Trainer[VolumeBatch]:
        return Trainer(VolumeLearner(UNet(width, self.blocks, CheckpointedStage)))
