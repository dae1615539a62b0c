"""MossFormer2: Combining Transformer and RNN-Free Recurrent Network for Enhanced Time-Domain Monaural Speech Separation
(Zhao et al., 2023), https://arxiv.org/abs/2312.11825."""

from dataclasses import dataclass

from bench.contract import Built, Card, Claim, Method
from methods.audio_separation._masking import MaskedSeparator
from methods.audio_separation._training import fit, widest
from methods.audio_separation.gated_attention._network import NARROWEST, gated_separator
from suites.audio_separation.task import SeparationTask


@dataclass(frozen=True)
class MossFormer2(Method[SeparationTask]):
    """Each block attends and then remembers. Attention has one head and two gates: it is exact within groups of frames
    and linear over all of them, with half of the channels one frame late. The memory is a feed-forward one, without
    recurrence: depth-wise convolutions, dilated and densely connected, over one branch of a narrow bottleneck, whose
    other branch gates it.

    width: channels, the most, for twice as many filters; cut to what the limits leave. blocks: of attention and memory.
    group: frames that attend exactly to each other. size: numbers of a query. length: samples of a frame. rate: the
    largest of the schedule.
    """

    card = Card(
        slug="mossformer2",
        title="MossFormer2",
        paper="Zhao et al., 2023. MossFormer2: Combining Transformer and RNN-Free Recurrent Network for Enhanced "
        "Time-Domain Monaural Speech Separation",
        url="https://arxiv.org/abs/2312.11825",
        stochastic=True,
        claims=(
            Claim(
                text="With the recurrent module it separates better than MossFormer",
                source="abstract",
                metric="si_sdri",
                versus="mossformer",
            ),
            Claim(
                text="It separates better than earlier separators",
                source="abstract",
                metric="si_sdri",
                versus="conv-tasnet",
            ),
        ),
        differences=(
            "Two blocks of some 30 channels where the paper has 24 of 512; groups of 64 frames where it has 256, "
            "queries of 32 numbers where it has 128.",
            "Twice as many filters as channels, where the paper has as many: so few could not hold the sound.",
            "Frames of 32 samples every 16, for speed on a CPU; the paper has 16 every 8.",
            "Each channel of the dense memory reads itself at every layer. The public code's groups cut across: half "
            "of the second layer's channels read the first layer alone, half the input alone.",
            "No dropout; the public code has 0.1 in every projection, whatever its settings say.",
            "Held against separators of equal parameters, not of equal depth.",
        ),
    )

    width: int = 64
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
        return gated_separator(width, self.blocks, memory=True, group=self.group, size=self.size, length=self.length)
