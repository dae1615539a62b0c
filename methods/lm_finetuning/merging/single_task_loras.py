"""Control, a ceiling: every task is answered by its own LoRA."""

from dataclasses import dataclass

from bench.contract import Card, Limits, Method
from suites.lm_finetuning.candidate import Tuned
from suites.lm_finetuning.lora import merged, updates
from suites.lm_finetuning.task import FineTuningTask
from suites.lm_finetuning.tracks import unsupported


@dataclass(frozen=True)
class SingleTaskLoRAs(Method[FineTuningTask]):
    """Merges nothing: an oracle that knows which task an example is of answers it by the LoRA of that task."""

    card = Card(
        slug="single-task-loras",
        suite="lm-finetuning",
        title="Single-task LoRAs",
        paper="Control: the adapters before they are merged, the ceiling of merging",
        control=True,
        reference=True,
        stochastic=True,
        notes="It is told the task of each example, which no merged adapter is, and ships all adapters. The model that "
        "is timed has the first of them. It is random only in what it is given.",
    )

    def supports(self, task: FineTuningTask, limits: Limits) -> str | None:
        return unsupported(task, ["merge"])

    def build(self, task: FineTuningTask, limits: Limits) -> Tuned:
        models = {name: merged(task.model, updates(lora)) for name, lora in task.given.items()}
        shipped = {f"{name}.{key}": t for name, lora in task.given.items() for key, t in lora.tensors.items()}
        return Tuned(model=next(iter(models.values())), by_task=models, shipped=shipped)
