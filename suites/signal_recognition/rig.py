"""A training of a recogniser that can be gone on with."""

from typing import Any

import torch

from suites._training.loop import validation_loss
from suites._training.rig import Rig
from suites._training.trainer import Trainer
from suites.signal_recognition.learning import SignalBatch


class SignalRig(Rig[SignalBatch]):
    """weighed_on: the batch that memory is weighed on, the same for all."""

    def __init__(self, trainer: Trainer[SignalBatch], device: str, weighed_on: SignalBatch) -> None:
        super().__init__(trainer, device, weighed_on, SignalBatch.of)

    def validation(self, signals: Any, labels: Any) -> float:
        """Loss of what trains over these signals, as it would be shipped."""
        arrays = (torch.as_tensor(each, device=self.device) for each in (signals, labels))
        return validation_loss(self.candidate.learner, [SignalBatch.of(*arrays)])
