"""Control: the plain 3D U-Net (Cicek et al., 2016), of the blocks that the reversible one has."""

from dataclasses import dataclass

from bench.contract import Built, Card, Method
from methods.volumetric_segmentation._network import UNet
from methods.volumetric_segmentation._training import BLOCKS, WIDTH, fit
from suites._training.trainer import Trainer
from suites.volumetric_segmentation.learning import VolumeBatch, VolumeLearner
from suites.volumetric_segmentation.task import SegmentationTask


@dataclass(frozen=True)
class PlainUNet(Method[SegmentationTask]):
    """Keeps for the backward pass what PyTorch keeps, which is what the training memory of all others is held against.

    width: channels at full resolution. blocks: of each stage. rate: the largest of the schedule.
    """

    card = Card(
        slug="unet",
        title="Plain U-Net",
        paper="Control: Cicek et al., 2016. 3D U-Net: Learning Dense Volumetric Segmentation from Sparse Annotation",
        url="https://arxiv.org/abs/1606.06650",
        control=True,
        stochastic=True,
        differences=(
            "The reversible U-Net's blocks, kept as PyTorch keeps them, so that one architecture is compared; the "
            "paper has two plain convolutions at each resolution.",
        ),
    )

    width: int = WIDTH
    blocks: int = BLOCKS
    rate: float = 3e-2

    def supports(self, task: SegmentationTask) -> str | None:
        trainer = self._training()
        return task.still_over(Built(trainer.learner.model, rig=trainer), f"all {self.width} channels")

    def build(self, task: SegmentationTask) -> Built:
        return fit(task, self._training, self.rate, {"channels": self.width})

    def _training(self) -> Trainer[VolumeBatch]:
        return Trainer(VolumeLearner(UNet(self.width, self.blocks)))
