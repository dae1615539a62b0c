"""ClST: A Convolutional Transformer Framework for Automatic Modulation Recognition by Knowledge Distillation (Hou et
al., 2023), https://arxiv.org/abs/2312.17446. The transformer; the distillation is in distillation/skd.py."""

from dataclasses import dataclass

from bench.contract import Built, Card, Claim, Method
from methods.signal_recognition._training import fit, widest
from suites.signal_recognition.clst import ClST
from suites.signal_recognition.learning import SignalLearner
from suites.signal_recognition.task import SignalTask

NARROWEST, STEP = 4, 2


@dataclass(frozen=True)
class ConvolutionLinkedSignalTransformer(Method[SignalTask]):
    """Stages of a convolutional token embedding and a transformer block, whose queries, keys and values come from
    convolutions along time, and whose attention goes over tokens and over channels side by side.

    width: of the first stage, the most; cut to what the limits leave. rate: the largest of the schedule.
    """

    card = Card(
        slug="clst",
        title="ClST",
        paper="Hou et al., 2023. ClST: A Convolutional Transformer Framework for Automatic Modulation Recognition by "
        "Knowledge Distillation",
        url="https://arxiv.org/abs/2312.17446",
        stochastic=True,
        claims=(
            Claim(
                text="It recognises more signals than convolutional networks",
                source="abstract: it outperforms advanced neural networks on all data sets",
                metric="accuracy",
                versus="cnn",
            ),
            Claim(
                text="It recognises more signals than recurrent networks",
                source="abstract: it outperforms advanced neural networks on all data sets",
                metric="accuracy",
                versus="lstm",
            ),
        ),
        differences=(
            "Our reading of the abstract; of the paper no more was at hand, and there is no public code.",
            "Three stages of one block, at 64, 32 and 16 tokens.",
            "The two kinds of attention have the same queries, keys and values, and are added.",
            "As wide as the limits leave, where the paper's has no limit.",
        ),
    )

    width: int = 26
    rate: float = 5e-3

    def supports(self, task: SignalTask) -> str | None:
        return task.still_over(ClST(task.classes, NARROWEST), f"{NARROWEST} channels")

    def build(self, task: SignalTask) -> Built:
        widths = range(NARROWEST, self.width + 1, STEP)
        width = widest(task, lambda each: ClST(task.classes, each), widths)
        return fit(task, lambda: ClST(task.classes, width), SignalLearner, self.rate)
