"""Control: Conv-TasNet (Luo and Mesgarani, 2019), https://arxiv.org/abs/1809.07454."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from bench.contract import Built, Card, Method
from methods.audio_separation._masking import MaskedSeparator
from methods.audio_separation._training import fit, widest
from methods.audio_separation.baseline._tasnet import conv_tasnet
from suites.audio_separation.task import SeparationTask

NARROWEST = 4


@dataclass(frozen=True)
class ConvTasNet(Method[SeparationTask]):
    """Masks over a learned filter bank, from a stack of dilated depth-wise convolutions.

    causal: none of them looks ahead, and norms are over what has been heard. width: channels between the blocks, the
    most; cut to what the limits leave. blocks, repeats: of dilations 1, 2, 4, ... length: samples of a frame. rate: the
    largest of the schedule.
    """

    card = Card(
        slug="conv-tasnet",
        title="Conv-TasNet",
        paper="Control: Luo and Mesgarani, 2019. Conv-TasNet: Surpassing Ideal Time-Frequency Magnitude Masking for "
        "Speech Separation",
        url="https://arxiv.org/abs/1809.07454",
        control=True,
        stochastic=True,
        differences=(
            "Two repeats of five blocks where the paper's best has three of eight; the proportions of the widths are "
            "the paper's.",
            "Frames of 32 samples every 16, for speed on a CPU; the paper has 16 every 8.",
        ),
        notes="Written here: torchaudio's wheel does not load without CUDA, and asteroid drags in PyTorch Lightning.",
    )
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {"default": {}, "causal": {"causal": True}}

    causal: bool = False
    width: int = 17
    blocks: int = 5
    repeats: int = 2
    length: int = 32
    rate: float = 1e-2

    def supports(self, task: SeparationTask) -> str | None:
        return task.still_over(self._model(NARROWEST), f"{NARROWEST} channels")

    def build(self, task: SeparationTask) -> Built:
        width = widest(task, self._model, range(NARROWEST, self.width + 1))
        return fit(task, lambda: self._model(width), self.rate)

    def _model(self, width: int) -> MaskedSeparator:
        return conv_tasnet(width, self.blocks, self.repeats, self.length, self.causal)
