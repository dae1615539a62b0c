"""Control: task arithmetic (Ilharco et al., 2023), https://arxiv.org/abs/2212.04089."""

from dataclasses import dataclass
from typing import ClassVar

from bench.contract import Card, Limits, Method
from methods.lm_finetuning.merging._adapters import adapted, weighted_sum
from suites.lm_finetuning.candidate import Tuned
from suites.lm_finetuning.task import FineTuningTask
from suites.lm_finetuning.tracks import unsupported


@dataclass(frozen=True)
class TaskArithmetic(Method[FineTuningTask]):
    """Adds the updates of all tasks, times one number, to the base.

    scale: that number. The paper tunes it on held-out examples; 0.4 is what the TIES paper takes for it where there
    are none, for more tasks than here. The variants are larger numbers, up to the plain sum.
    """

    card = Card(
        slug="task-arithmetic",
        suite="lm-finetuning",
        title="Task arithmetic",
        paper="Control: Ilharco et al., 2023. Editing Models with Task Arithmetic",
        url="https://arxiv.org/abs/2212.04089",
        control=True,
        stochastic=True,
        notes="Task vectors are the updates of the LoRAs; their sum is shipped as one LoRA of all ranks. The number is "
        "fixed, not tuned, as no merging method here sees examples; what claims to be better is held against the "
        "number that turned out best. It is random only in what it is given.",
    )
    variants: ClassVar = {
        "default": {},
        "scale-0.6": {"scale": 0.6},
        "scale-0.8": {"scale": 0.8},
        "sum": {"scale": 1.0},
    }

    scale: float = 0.4

    def supports(self, task: FineTuningTask, limits: Limits) -> str | None:
        return unsupported(task, ["merge"])

    def build(self, task: FineTuningTask, limits: Limits) -> Tuned:
        return adapted(task, weighted_sum(list(task.given.values()), self.scale))
