"""Learning from a teacher's probabilities (Hinton et al., 2015)."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import kl_div, log_softmax

from suites.lm_finetuning.batches import Batch
from suites.lm_finetuning.learning import AnswerLearner
from suites.lm_finetuning.reading import answer_logits


class Distilled(AnswerLearner):
    """A model that learns a teacher's probabilities of the answers' tokens."""

    def __init__(self, model: Any, teacher: Any) -> None:
        super().__init__(model)
        self.references = (teacher,)

    def loss(self, batch: Batch) -> Tensor:
        """Mean over the answers' tokens of KL(teacher || model), nats."""
        with torch.no_grad():
            wanted = log_softmax(answer_logits(self.references[0], batch).float(), -1)
        given = log_softmax(answer_logits(self.model, batch).float(), -1)
        return kl_div(given, wanted, reduction="batchmean", log_target=True)
