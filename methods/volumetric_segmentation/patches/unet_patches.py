"""Control: the plain U-Net on parts of a volume, one after the other, as nnU-Net (Isensee et al., 2021) trains."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.contract import Built, Card, Method
from methods.volumetric_segmentation._network import UNet
from methods.volumetric_segmentation._training import BLOCKS, WIDTH, fit, meets, nothing_to_save
from suites._training.learner import Moment
from suites._training.trainer import Trainer
from suites.volumetric_segmentation.learning import VolumeBatch, VolumeLearner, segmentation_loss
from suites.volumetric_segmentation.task import SegmentationTask

Pieces = tuple[int, int, int]
"""How many there are along depth, height and width."""

CUTS: Sequence[Pieces] = ((1, 1, 1), (1, 1, 2), (1, 2, 2), (2, 2, 2))


def cut(volumes: Tensor, pieces: Pieces) -> Tensor:
    """(n, ..., depth, height, width) to (pieces of the first volume, of the second..., a piece's shape)."""
    for axis, count in zip((-3, -2, -1), pieces, strict=True):
        parts = torch.stack(volumes.chunk(count, axis), 1)
        volumes = parts.flatten(0, 1)
    return volumes


def joined(parts: Tensor, pieces: Pieces) -> Tensor:
    """The inverse of `cut`."""
    for axis, count in zip((-1, -2, -3), reversed(pieces), strict=True):
        parts = torch.cat(parts.unflatten(0, (-1, count)).unbind(1), axis)
    return parts


class Patchwise(nn.Module):
    """Segments a volume piece by piece, each as if there were no other."""

    def __init__(self, net: nn.Module, pieces: Pieces) -> None:
        super().__init__()
        self.net, self.pieces = net, pieces

    def forward(self, inputs: Tensor) -> Tensor:
        return joined(torch.cat([self.net(each[None]) for each in cut(inputs, self.pieces)]), self.pieces)


class PatchLearner(VolumeLearner):
    """Learns from batches of pieces, and is judged by whole volumes."""

    model: Patchwise

    def loss(self, batch: VolumeBatch) -> Tensor:
        return segmentation_loss(self.model.net(batch.inputs), batch.labels)


class PatchTrainer(Trainer[VolumeBatch]):
    """Cuts the volumes of a batch, and lets one piece go through the model at a time; their gradients add up."""

    def __init__(self, learner: PatchLearner) -> None:
        super().__init__(learner, rows=1)
        self._pieces = learner.model.pieces

    def step(self, batch: VolumeBatch, rate: float, moment: Moment) -> float:
        return super().step(self._cut(batch), rate, moment)

    def probe(self, batch: VolumeBatch) -> Tensor:
        return super().probe(self._cut(batch))

    def _cut(self, batch: VolumeBatch) -> VolumeBatch:
        return VolumeBatch(cut(batch.images, self._pieces), cut(batch.labels, self._pieces))


@dataclass(frozen=True)
class PatchedUNet(Method[SegmentationTask]):
    """All channels, and less to look at: a volume is cut in two, four or eight, the fewest with which the limit on
    memory is met. As many voxels are seen in a step as by the others. In use it is cut alike.

    width, blocks, rate: as of the plain U-Net.
    """

    card = Card(
        slug="unet-patches",
        title="U-Net on patches",
        paper="Control: Isensee et al., 2021. nnU-Net: a self-configuring method for deep learning-based biomedical "
        "image segmentation",
        url="https://arxiv.org/abs/1809.10486",
        control=True,
        stochastic=True,
        differences=("Patches stand side by side; nnU-Net draws them at random, and has them overlap in use.",),
    )

    width: int = WIDTH
    blocks: int = BLOCKS
    rate: float = 3e-2

    def supports(self, task: SegmentationTask) -> str | None:
        if reason := nothing_to_save(task):
            return reason
        trainer = self._training(CUTS[-1])
        return task.still_over(Built(trainer.learner.model, rig=trainer), f"pieces of {task.size // 2} voxels a side")

    def build(self, task: SegmentationTask) -> Built:
        pieces = next((each for each in CUTS if meets(task, self._training(each))), CUTS[-1])
        return fit(task, lambda: self._training(pieces), self.rate, {"channels": self.width})

    def _training(self, pieces: Pieces) -> Trainer[VolumeBatch]:
        return PatchTrainer(PatchLearner(Patchwise(UNet(self.width, self.blocks), pieces)))
