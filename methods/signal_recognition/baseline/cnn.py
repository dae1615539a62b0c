"""Control: a VGG-like convolutional net (O'Shea, Roy and Clancy, 2018), https://arxiv.org/abs/1712.04578."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from bench.contract import Built, Card, Method
from methods.signal_recognition._training import fit, widest
from suites.signal_recognition.learning import SignalLearner
from suites.signal_recognition.task import SignalTask

LAYERS = 6
NARROWEST = 4


class VGG(nn.Module):
    """LAYERS convolutions of 3 samples, each followed by a maximum over two, so that 128 samples become two; then a
    hidden layer. width: channels of every layer."""

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for number in range(LAYERS):
            before = width if number else 2
            layers += [nn.Conv1d(before, width, 3, padding=1, bias=False), nn.BatchNorm1d(width), nn.ReLU()]
            layers.append(nn.MaxPool1d(2))
        self.layers = nn.Sequential(*layers)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(2 * width, 2 * width), nn.ReLU(), nn.Linear(2 * width, classes)
        )

    def forward(self, signals: Tensor) -> Tensor:
        out: Tensor = self.head(self.layers(signals))
        return out


@dataclass(frozen=True)
class CNN(Method[SignalTask]):
    """Convolutions and maxima over IQ samples as they are, trained with AdamW and nothing else.

    width: channels. narrowed: cut it to what the limits leave, where they leave less. rate: the largest of the
    schedule.
    """

    card = Card(
        slug="cnn",
        title="CNN",
        paper="Control: O'Shea, Roy and Clancy, 2018. Over-the-Air Deep Learning Based Radio Signal Classification",
        url="https://arxiv.org/abs/1712.04578",
        control=True,
        stochastic=True,
        differences=(
            "Six such layers and one hidden one for 128 samples, where theirs for 1,024 has seven and two.",
            "Batch norms behind the convolutions, no dropout.",
        ),
        notes="Ratios are to the whole network, the same at every operating point; `narrow` is cut to the limits.",
    )
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {"default": {}, "narrow": {"narrowed": True}}

    width: int = 70
    narrowed: bool = False
    rate: float = 5e-3

    def supports(self, task: SignalTask) -> str | None:
        whole = task.still_over(VGG(task.classes, self.width), f"{self.width} channels")
        if not self.narrowed:
            return whole
        if whole is None:
            return "nothing is to be cut: the whole network meets the limits"
        return task.still_over(VGG(task.classes, NARROWEST), f"{NARROWEST} channels")

    def build(self, task: SignalTask) -> Built:
        width = self.width
        if self.narrowed:
            width = widest(task, lambda each: VGG(task.classes, each), range(NARROWEST, self.width + 1))
        return fit(task, lambda: VGG(task.classes, width), SignalLearner, self.rate)
