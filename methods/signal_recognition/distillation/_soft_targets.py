"""Learning from a teacher's probabilities (Hinton et al., 2015), https://arxiv.org/abs/1503.02531."""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, kl_div

from suites.signal_recognition.learning import SignalBatch, SignalLearner


def soft_target_loss(logits: Tensor, told: Tensor, temperature: float) -> Tensor:
    """Divergence of the student's probabilities from the teacher's, both of logits (n, classes) over the temperature;
    times its square, so that gradients are as large at any temperature. The mean over n, in nats."""
    mine, theirs = ((each / temperature).log_softmax(-1) for each in (logits, told))
    return temperature**2 * kl_div(mine, theirs, reduction="batchmean", log_target=True)


class DistilledLearner(SignalLearner):
    """Learns the teacher's soft targets, by the share `alpha` of the loss, and the labels by the rest."""

    def __init__(self, model: nn.Module, teacher: nn.Module, temperature: float, alpha: float) -> None:
        super().__init__(model)
        self.teacher, self.temperature, self.alpha = teacher, temperature, alpha
        self.references = (teacher,)

    def loss(self, batch: SignalBatch) -> Tensor:
        with torch.no_grad():
            told = self.teacher(batch.signals)
        return self.of_logits(self.model(batch.signals), told, batch.labels)

    def of_logits(self, logits: Tensor, told: Tensor, labels: Tensor) -> Tensor:
        soft = soft_target_loss(logits, told, self.temperature)
        return self.alpha * soft + (1 - self.alpha) * cross_entropy(logits, labels)
