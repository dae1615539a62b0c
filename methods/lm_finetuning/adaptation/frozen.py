"""Control: the base as it is."""

from dataclasses import dataclass

from bench.contract import Card, Limits, Method
from suites._training.training import Learner, Trainer
from suites.lm_finetuning.candidate import Tuned
from suites.lm_finetuning.task import FineTuningTask


@dataclass(frozen=True)
class Frozen(Method[FineTuningTask]):
    """Learns nothing and ships nothing. Its training step, which is never taken, is full fine-tuning's with AdamW: what
    all step times are ratios to."""

    card = Card(
        slug="frozen",
        suite="lm-finetuning",
        title="Frozen base",
        paper="Control: the pre-trained model, not adapted",
        control=True,
        notes="Every score is the base's. The time of its training step is that of full fine-tuning, the reference of "
        "the suite, and no saving of its own.",
    )

    def supports(self, task: FineTuningTask, limits: Limits) -> str | None:
        return "has no way to serve deletions" if task.track == "unlearn" else None

    def build(self, task: FineTuningTask, limits: Limits) -> Tuned:
        trainer = Trainer(Learner(task.copied().requires_grad_(True)))
        return Tuned(model=task.copied().eval(), trainer=trainer)
