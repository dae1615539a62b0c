"""Learning from a teacher's probabilities (Hinton et al., 2015)."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import kl_div, log_softmax

from suites.lm_finetuning.batches import IGNORED, Batch
from suites.lm_finetuning.training import Learner


class Distilled(Learner):
    """A model that learns a teacher's probabilities of the answers' tokens."""

    def __init__(self, model: Any, teacher: Any) -> None:
        super().__init__(model)
        self.references = (teacher,)

    def loss(self, batch: Batch) -> Tensor:
        """Mean over the answers' tokens of KL(teacher || model), nats."""
        call = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask, "use_cache": False}
        taught = batch.labels[:, 1:] != IGNORED
        with torch.no_grad():
            wanted = log_softmax(self.references[0](**call).logits[:, :-1][taught].float(), -1)
        given = log_softmax(self.model(**call).logits[:, :-1][taught].float(), -1)
        return kl_div(given, wanted, reduction="batchmean", log_target=True)
