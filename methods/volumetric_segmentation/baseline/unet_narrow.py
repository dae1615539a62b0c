"""Control: the plain U-Net with fewer channels."""

from dataclasses import dataclass

from bench.contract import Built, Card, Method
from methods.volumetric_segmentation._network import UNet
from methods.volumetric_segmentation._training import BLOCKS, WIDTH, fit_widest, nothing_to_save, too_large
from suites._training.trainer import Trainer
from suites.volumetric_segmentation.learning import VolumeBatch, VolumeLearner
from suites.volumetric_segmentation.task import SegmentationTask


@dataclass(frozen=True)
class NarrowUNet(Method[SegmentationTask]):
    """The plain U-Net with as many channels as the limit on training memory leaves.

    width: channels at full resolution, the most. blocks, rate: as of the plain U-Net.
    """

    card = Card(
        slug="unet-narrow",
        title="U-Net, fewer channels",
        paper="Control: the same network, narrower",
        control=True,
        stochastic=True,
    )

    width: int = WIDTH
    blocks: int = BLOCKS
    rate: float = 3e-2

    def supports(self, task: SegmentationTask) -> str | None:
        return nothing_to_save(task) or too_large(task, self._training)

    def build(self, task: SegmentationTask) -> Built:
        return fit_widest(task, self._training, self.width, self.rate)

    def _training(self, width: int) -> Trainer[VolumeBatch]:
        return Trainer(VolumeLearner(UNet(width, self.blocks)))
