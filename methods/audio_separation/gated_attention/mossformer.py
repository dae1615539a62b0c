"""Control: MossFormer (Zhao and Ma, 2023), https://arxiv.org/abs/2302.11824."""

from dataclasses import dataclass

from bench.contract import Built, Card, Method
from methods.audio_separation._masking import MaskedSeparator
from methods.audio_separation._training import fit, widest
from methods.audio_separation.gated_attention._network import NARROWEST, gated_separator
from suites.audio_separation.task import SeparationTask


@dataclass(frozen=True)
class MossFormer(Method[SeparationTask]):
    """MossFormer2 without its memories: as many blocks of attention alone, as much wider as the limits leave.

    width, blocks, group, size, length, rate: as of MossFormer2.
    """

    card = Card(
        slug="mossformer",
        title="MossFormer",
        paper="Control: Zhao and Ma, 2023. MossFormer: Pushing the Performance Limit of Monaural Speech Separation "
        "using Gated Single-Head Transformer with Convolution-Augmented Joint Self-Attentions",
        url="https://arxiv.org/abs/2302.11824",
        control=True,
        stochastic=True,
        differences=(
            "The network around the blocks is MossFormer2's.",
            "Two blocks of some 40 channels for twice as many filters, groups of 64 frames, queries of 32 numbers.",
            "Frames of 32 samples every 16, for speed on a CPU.",
        ),
    )

    width: int = 72
    blocks: int = 2
    group: int = 64
    size: int = 32
    length: int = 32
    rate: float = 1e-2

    def supports(self, task: SeparationTask) -> str | None:
        return task.still_over(self._model(NARROWEST), f"{NARROWEST} channels")

    def build(self, task: SeparationTask) -> Built:
        width = widest(task, self._model, range(NARROWEST, self.width + 1, 2))
        return fit(task, lambda: self._model(width), self.rate)

    def _model(self, width: int) -> MaskedSeparator:
        return gated_separator(width, self.blocks, memory=False, group=self.group, size=self.size, length=self.length)
