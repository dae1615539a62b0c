"""The two students, and what all methods that train them share."""

from collections.abc import Callable
from typing import Literal

from torch import Tensor, nn

from bench.contract import Built
from methods.signal_recognition._training import fit, widest
from suites.signal_recognition.learning import SignalLearner
from suites.signal_recognition.task import SignalTask

Kind = Literal["cnn", "mobilenet"]

NARROWEST, WIDEST = 4, 96


class Student(nn.Module):
    """Convolutions along time, each with a batch norm; the mean over time is classified. width: of the first layer; the
    others have a multiple of it."""

    def __init__(self, classes: int, layers: nn.Module, channels: int) -> None:
        super().__init__()
        self.layers = layers
        self.head = nn.Linear(channels, classes)

    def forward(self, signals: Tensor) -> Tensor:
        out: Tensor = self.head(self.layers(signals).mean(-1))
        return out


def small_cnn(classes: int, width: int) -> Student:
    """Four convolutions, each of stride 2."""
    shapes = ((2, width, 7), (width, 2 * width, 5), (2 * width, 2 * width, 5), (2 * width, 2 * width, 3))
    return Student(classes, nn.Sequential(*(_convolution(*shape, stride=2) for shape in shapes)), 2 * width)


def mobilenet(classes: int, width: int) -> Student:
    """MobileNet (Howard et al., 2017) along time: a convolution, then four pairs of one in each channel by itself and
    one across channels."""
    layers = [_convolution(2, width, 7, stride=2)]
    for before, after, stride in ((1, 2, 2), (2, 2, 1), (2, 4, 2), (4, 4, 1)):
        layers += [
            _convolution(before * width, before * width, 3, stride=stride, groups=before * width),
            _convolution(before * width, after * width, 1),
        ]
    return Student(classes, nn.Sequential(*layers), 4 * width)


MODELS: dict[Kind, Callable[[int, int], Student]] = {"cnn": small_cnn, "mobilenet": mobilenet}


def unfit(task: SignalTask, kind: Kind) -> str | None:
    """Why there is nothing to distil into at these limits, or None."""
    allowed, taught = task.limits.result.get("parameters"), sum(each.numel() for each in task.teacher.parameters())
    if allowed is not None and allowed >= taught:
        return (
            f"a student is smaller than its teacher, which has {taught:,} parameters; the limit leaves {allowed:,.0f}"
        )
    return task.still_over(MODELS[kind](task.classes, NARROWEST), f"{NARROWEST} channels")


def train_student(task: SignalTask, kind: Kind, learner: Callable[[nn.Module], SignalLearner], rate: float) -> Built:
    """The widest that the limits leave, from random weights."""
    model = MODELS[kind]
    width = widest(task, lambda each: model(task.classes, each), range(NARROWEST, WIDEST + 1))
    return fit(task, lambda: model(task.classes, width), learner, rate)


def _convolution(before: int, after: int, size: int, stride: int = 1, groups: int = 1) -> nn.Module:
    convolution = nn.Conv1d(before, after, size, stride, size // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm1d(after), nn.ReLU())
