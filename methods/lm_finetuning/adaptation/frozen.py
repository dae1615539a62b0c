"""Control: the base as it is."""

from dataclasses import dataclass

from bench.contract import Built, Card, Method
from suites._training.trainer import Trainer
from suites.lm_finetuning.learning import AnswerLearner
from suites.lm_finetuning.patches import Changed
from suites.lm_finetuning.task import FineTuningTask


@dataclass(frozen=True)
class Frozen(Method[FineTuningTask]):
    """Learns nothing and ships nothing. Its training step, which is never taken, is full fine-tuning's with AdamW: what
    all step times and the memory of trainings are ratios to."""

    card = Card(
        slug="frozen",
        title="Frozen base",
        problems=("adapt", "merge", "transfer", "repair"),
        paper="Control: the pre-trained model, not adapted",
        control=True,
        notes="Every score is the base's. Time and memory of its training step are those of full fine-tuning, the "
        "reference of the suite, and no saving of its own; where training memory is limited, it has none.",
    )

    def build(self, task: FineTuningTask) -> Built:
        nothing = Changed({})
        if "training_memory_ratio" in task.limits.result:
            return Built(nothing, figures={"training_memory_ratio": 0.0})
        return Built(nothing, rig=Trainer(AnswerLearner(task.copied().requires_grad_(True))))
