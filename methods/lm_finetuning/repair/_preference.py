"""Learning to prefer one answer to another (Rafailov et al., 2023, equation 7)."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, logsigmoid

from suites.lm_finetuning.batches import Batch
from suites.lm_finetuning.learning import AnswerLearner
from suites.lm_finetuning.preferences import Preferences
from suites.lm_finetuning.reading import answer_logits
from suites.lm_finetuning.repair import RepairTask


class PreferenceLearner(AnswerLearner):
    """A model that learns to prefer; the task's own model is the reference."""

    def __init__(self, task: RepairTask, beta: float) -> None:
        super().__init__(task.copied().requires_grad_(True))
        self.references = (task.model,)
        self.beta = beta

    def loss(self, batch: Batch) -> Tensor:
        """Mean over the pairs. A batch without pairs stands for both sides, so that a step can be weighed on it."""
        rejected = batch.rejected if isinstance(batch, Preferences) else batch
        assert rejected is not None
        return -logsigmoid(self.beta * (self._gain(batch) - self._gain(rejected))).mean()

    def _gain(self, batch: Batch) -> Tensor:
        with torch.no_grad():
            reference = answer_log_probs(self.references[0], batch)
        return answer_log_probs(self.model, batch) - reference


def answer_log_probs(model: Any, batch: Batch) -> Tensor:
    """Log-probability of each example's answer, nats: (examples,)."""
    lost = cross_entropy(answer_logits(model, batch).float(), batch.wanted, reduction="none")
    return torch.zeros(len(batch.tasks), device=lost.device).index_add(0, batch.examples, -lost)
