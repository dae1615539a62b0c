"""Signal knowledge distillation, of ClST: A Convolutional Transformer Framework for Automatic Modulation Recognition by
Knowledge Distillation (Hou et al., 2023), https://arxiv.org/abs/2312.17446."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from bench.contract import Built, Card, Claim, Method
from methods.signal_recognition.distillation._soft_targets import DistilledLearner
from methods.signal_recognition.distillation._students import Kind, train_student, unfit
from suites.signal_recognition.task import SignalTask


@dataclass(frozen=True)
class SignalKnowledgeDistillation(Method[SignalTask]):
    """A small network learns from a trained ClST: the loss is the divergence from the teacher's probabilities at a
    temperature, and the cross entropy of the labels. KD-CNN is the variant `cnn`, KD-MobileNet `mobilenet`.

    student: which network; as wide as the limits leave. temperature, alpha: of the soft targets, and their share of the
    loss. rate: the largest of the schedule.
    """

    card = Card(
        slug="skd",
        title="SKD",
        paper="Hou et al., 2023. ClST: A Convolutional Transformer Framework for Automatic Modulation Recognition by "
        "Knowledge Distillation",
        url="https://arxiv.org/abs/2312.17446",
        stochastic=True,
        claims=(
            Claim(
                text="KD-CNN recognises more signals than the same network without a teacher",
                source="abstract: both obtain higher accuracy with less complexity",
                metric="accuracy",
                versus="labels-only:cnn",
                variant="cnn",
            ),
            Claim(
                text="KD-MobileNet recognises more signals than the same network without a teacher",
                source="abstract: both obtain higher accuracy with less complexity",
                metric="accuracy",
                versus="labels-only:mobilenet",
                variant="mobilenet",
            ),
            Claim(
                text="Both students take less computing than the transformer",
                source="abstract: both obtain higher accuracy with less complexity",
                metric="flops",
                versus="clst",
            ),
        ),
        differences=(
            "Our reading of the abstract; of the paper no more was at hand, and there is no public code.",
            "Temperature 4, equal parts of soft targets and labels, the divergence times the squared temperature.",
            "Students of our own sizes: four convolutions; one and four depth-wise separable ones.",
        ),
        notes="So read, it is the distillation of Hinton et al. (2015) with ClST as the teacher, whose training is in "
        "nobody's budget; its answers while a student learns are.",
    )
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "cnn": {"student": "cnn"},
        "mobilenet": {"student": "mobilenet"},
    }

    student: Kind = "cnn"
    temperature: float = 4.0
    alpha: float = 0.5
    rate: float = 1e-2

    def supports(self, task: SignalTask) -> str | None:
        return unfit(task, self.student)

    def build(self, task: SignalTask) -> Built:
        learner = partial(DistilledLearner, teacher=task.teacher, temperature=self.temperature, alpha=self.alpha)
        return train_student(task, self.student, learner, self.rate)
