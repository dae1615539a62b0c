"""Control, a ceiling: every task is answered by its own LoRA."""

from dataclasses import dataclass

from bench.contract import Card, Method
from suites.lm_finetuning.merge import MergingTask, PatchByTask
from suites.lm_finetuning.patches import AddedLoRA


@dataclass(frozen=True)
class SingleTaskLoRAs(Method[MergingTask]):
    """Merges nothing: an oracle that knows which task an example is of answers it by the LoRA of that task."""

    card = Card(
        slug="single-task-loras",
        title="Single-task LoRAs",
        problems=("merge",),
        paper="Control: the adapters before they are merged, the ceiling of merging",
        control=True,
        reference=True,
        stochastic=True,
        notes="It is told the task of each example, which no merged adapter is, and ships all adapters. The model that "
        "is timed has the last of them. It is random only in what it is given.",
    )

    def build(self, task: MergingTask) -> PatchByTask:
        return PatchByTask({name: AddedLoRA(lora) for name, lora in task.loras.items()})
