"""Learning to answer."""

from typing import Any

from torch import Tensor
from torch.nn.functional import cross_entropy

from suites._training.learner import Learner
from suites.lm_finetuning.batches import Batch
from suites.lm_finetuning.reading import answer_logits


class AnswerLearner(Learner[Batch]):
    """A model, called as the base is, that learns the answers of examples, and is judged by them."""

    def loss(self, batch: Batch) -> Tensor:
        return answer_loss(self.model, batch)

    def validation(self, batch: Batch) -> Tensor:
        return answer_loss(self.model, batch)


def answer_loss(model: Any, batch: Batch) -> Tensor:
    """Mean cross entropy of the answers' tokens, nats."""
    return cross_entropy(answer_logits(model, batch).float(), batch.wanted)
