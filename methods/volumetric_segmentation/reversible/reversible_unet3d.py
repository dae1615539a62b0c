"""Memory Efficient 3D U-Net with Reversible Mobile Inverted Bottlenecks for Brain Tumor Segmentation (Pendse et al.,
2020), https://arxiv.org/abs/2104.09648."""

from dataclasses import dataclass

from bench.contract import Built, Card, Claim, Method
from methods.volumetric_segmentation._network import UNet
from methods.volumetric_segmentation._training import BLOCKS, WIDTH, fit_widest, too_large
from methods.volumetric_segmentation.reversible._reversed import ReversibleStage
from suites._training.trainer import Trainer
from suites.volumetric_segmentation.learning import VolumeBatch, VolumeLearner
from suites.volumetric_segmentation.task import SegmentationTask


@dataclass(frozen=True)
class ReversibleUNet3D(Method[SegmentationTask]):
    """A U-Net whose blocks can be run backwards: y1 = x1 + F(x2), y2 = x2 + G(y1), F and G mobile inverted bottlenecks
    of half the channels. Of a stage only its outcome is kept; in the backward pass what each block was given is
    computed from what it gave, and its inside once more. Changes of resolution keep what they always keep.

    width, blocks, rate: as of the plain U-Net, of which it is the same function.
    """

    card = Card(
        slug="reversible-unet3d",
        title="Reversible 3D U-Net",
        paper="Pendse et al., 2020. Memory Efficient 3D U-Net with Reversible Mobile Inverted Bottlenecks for Brain "
        "Tumor Segmentation",
        url="https://arxiv.org/abs/2104.09648",
        stochastic=True,
        claims=(
            Claim(
                text="Trains on larger volumes in the same memory",
                source="abstract",
                metric="largest_volume",
                versus="unet",
                points=("memory-100",),
                paper_value="volumes up to 3 times as large",
            ),
            Claim(
                text="Trains a network with more channels in the same memory",
                source="abstract",
                metric="channels",
                versus="unet-narrow",
                points=("memory-50", "memory-25"),
                paper_value="up to 2 times the channels",
            ),
        ),
        differences=(
            "No code of the authors is public, and their text was not at hand: expansion 2, SiLU, two blocks a stage, "
            "three resolutions, a pointwise stem and skips that are added are ours.",
            "GroupNorm, which has no running statistics that a second run of a block would move.",
            "Half of a block is recomputed at a time, F or G.",
            "Generated heads of 48 voxels a side, and a minute of training, where the paper has BraTS.",
        ),
        notes="What the freed memory is used for here is channels, up to those of the plain U-Net.",
    )

    width: int = WIDTH
    blocks: int = BLOCKS
    rate: float = 3e-2

    def supports(self, task: SegmentationTask) -> str | None:
        return too_large(task, self._training)

    def build(self, task: SegmentationTask) -> Built:
        return fit_widest(task, self._training, self.width, self.rate)

    def _training(self, width: int) -> Trainer[VolumeBatch]:
        return Trainer(VolumeLearner(UNet(width, self.blocks, ReversibleStage)))
