"""Control: task arithmetic (Ilharco et al., 2023), https://arxiv.org/abs/2212.04089."""

from dataclasses import dataclass
from typing import ClassVar

from bench.contract import Card, Method
from methods.lm_finetuning.merging._adapters import weighted_sum
from suites.lm_finetuning.merge import MergingTask
from suites.lm_finetuning.patches import AddedLoRA


@dataclass(frozen=True)
class TaskArithmetic(Method[MergingTask]):
    """Adds the updates of all tasks, times one number, to the base.

    scale: that number. The paper tunes it on held-out examples; 0.4 is what the TIES paper takes for it where there
    are none, for more tasks than here. The variants are larger numbers, up to the plain sum.
    """

    card = Card(
        slug="task-arithmetic",
        title="Task arithmetic",
        problems=("merge",),
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

    def build(self, task: MergingTask) -> AddedLoRA:
        return AddedLoRA(weighted_sum(list(task.loras.values()), self.scale))
