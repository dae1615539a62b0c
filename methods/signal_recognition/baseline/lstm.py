"""Control: an LSTM on amplitude and phase (Rajendran et al., 2018), https://arxiv.org/abs/1707.08908."""

import math
import sys
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.contract import Built, Card, Method
from methods.signal_recognition._training import fit, widest
from suites.signal_recognition.learning import SignalLearner
from suites.signal_recognition.task import SignalTask

NARROWEST, STEP = 4, 2


class AmplitudePhaseLSTM(nn.Module):
    """Two layers that read each sample's amplitude, at unit mean power, and phase in half turns; the mean of what the
    second knows after each sample is classified. They begin as Keras has them begin, remembering: orthogonal recurrent
    matrices, forget gates of bias 1. width: numbers of a layer's state."""

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(2, width, num_layers=2, batch_first=True)
        self.head = nn.Linear(width, classes)
        # Names are pickled once each only where they are one object, which is not so of every LSTM but of the first.
        self.lstm._flat_weights_names = [sys.intern(name) for name in self.lstm._flat_weights_names]
        self.lstm._all_weights = [[sys.intern(name) for name in names] for names in self.lstm._all_weights]
        for name, weight in self.lstm.named_parameters():
            if name.startswith("weight_hh"):
                for gate in weight.detach().chunk(4):
                    nn.init.orthogonal_(gate)
            elif name.startswith("bias"):
                nn.init.zeros_(weight)
                if name.startswith("bias_ih"):
                    weight.detach()[width : 2 * width] = 1.0

    def forward(self, signals: Tensor) -> Tensor:
        i, q = signals.unbind(1)
        states, _ = self.lstm(torch.stack([torch.hypot(i, q), torch.atan2(q, i) / math.pi], dim=-1))
        out: Tensor = self.head(states.mean(1))
        return out


@dataclass(frozen=True)
class LSTM(Method[SignalTask]):
    """Two recurrent layers over amplitude and phase, trained with AdamW and nothing else.

    width: of a layer, the most; cut to what the limits leave. rate: the largest of the schedule.
    """

    card = Card(
        slug="lstm",
        title="LSTM",
        paper="Control: Rajendran et al., 2018. Deep Learning Models for Wireless Signal Classification with "
        "Distributed Low-Cost Spectrum Sensors",
        url="https://arxiv.org/abs/1707.08908",
        control=True,
        stochastic=True,
        differences=(
            "States of 56 numbers or fewer, where the paper has 128.",
            "The mean of the states is classified, where the paper classifies the last.",
        ),
    )

    width: int = 56
    rate: float = 1e-2

    def supports(self, task: SignalTask) -> str | None:
        return task.still_over(AmplitudePhaseLSTM(task.classes, NARROWEST), f"states of {NARROWEST} numbers")

    def build(self, task: SignalTask) -> Built:
        widths = range(NARROWEST, self.width + 1, STEP)
        width = widest(task, lambda each: AmplitudePhaseLSTM(task.classes, each), widths)
        return fit(task, lambda: AmplitudePhaseLSTM(task.classes, width), SignalLearner, self.rate)
