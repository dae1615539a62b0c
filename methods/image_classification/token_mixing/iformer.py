"""Inception Transformer (Si et al., 2022), https://arxiv.org/abs/2205.12956."""

from dataclasses import dataclass

from bench.contract import Built, Card, Claim, Method
from methods.image_classification.token_mixing._small import too_large, train_widest
from suites.image_classification.task import ClassificationTask

RAMP = (1 / 3, 1 / 3, 1 / 2, 1 / 2, 3 / 4, 11 / 12)
"""The paper's shares of iFormer-S, where it has 7 and 9 of 10 in its third stage."""


@dataclass(frozen=True)
class IFormer(Method[ClassificationTask]):
    """A transformer whose mixer splits the channels: some go through a depth-wise convolution or a max-pool, which let
    high frequencies through, the others through attention on a pooled map, which does so with low ones. A depth-wise
    convolution fuses them. The deeper the block, the more channels are for low frequencies.

    width: three times the size of a head, the most; cut to what the limits leave. rate: the largest of the schedule.
    """

    card = Card(
        slug="iformer",
        title="iFormer",
        paper="Si et al., 2022. Inception Transformer",
        url="https://arxiv.org/abs/2205.12956",
        stochastic=True,
        claims=(
            Claim(
                text="It is more accurate than a plain vision transformer of about the same cost",
                source="abstract",
                metric="top1",
                versus="vit",
                points=("macs-12m",),
                paper_value="iFormer-S 83.4 %, 3.6 points above DeiT-S",
            ),
            Claim(
                text="Both kinds of path together are better than attention alone",
                source="abstract; section 4, ablation of the mixer",
                metric="top1",
                versus="other-mixers:all-attention",
                points=("macs-12m",),
            ),
            Claim(
                text="More low frequencies with depth are better than fewer",
                source="abstract; section 4, ablation of the ramp",
                metric="top1",
                versus="other-mixers:reversed-ramp",
                points=("macs-12m",),
            ),
        ),
        differences=(
            "Three stages of two blocks; the first convolution alone halves the image.",
            "Heads of some 8 numbers where the paper has 32.",
            "Layer scale in the last stage, as the paper has it where nothing is pooled.",
            "Maps of any size, where the public code needs even squares.",
            "No drop-path, as the other methods have none.",
        ),
    )

    width: int = 28
    rate: float = 2e-3
    weight_decay: float = 0.05

    def supports(self, task: ClassificationTask) -> str | None:
        return too_large(task, RAMP)

    def build(self, task: ClassificationTask) -> Built:
        return train_widest(task, RAMP, self.width, self.rate, self.weight_decay)
