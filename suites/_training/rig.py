"""A training that can be gone on with: what is timed and weighed of it."""

from collections.abc import Callable, Mapping
from typing import Any, Generic

import torch

from bench.contract import Served
from suites._training.learner import BatchT, Moment
from suites._training.memory import step_memory
from suites._training.trainer import Trainer

RATE = 1e-12
"""Of the steps that are timed: all is done, and no weight comes to be another."""


class Rig(Served[Trainer[BatchT]], Generic[BatchT]):
    """A trainer after its training, in a process of its own. weighed_on: the batch that memory is weighed on, the same
    for all. batch_of: makes a batch of the arrays that a step is given."""

    def __init__(
        self, trainer: Trainer[BatchT], device: str, weighed_on: BatchT, batch_of: Callable[..., BatchT]
    ) -> None:
        super().__init__(trainer, device)
        self._weighed_on, self._batch_of = weighed_on, batch_of
        self._buffers = [(buffer, buffer.clone()) for buffer in trainer.learner.model.buffers()]

    def step(self, *arrays: Any) -> float:
        """One more training step: with hooks, optimizer, 32-bit copies, and weights that are written. The loss."""
        steps = self.candidate.steps
        return self.candidate.step(self._batch_of(*arrays), RATE, Moment(steps, steps + 1, 1.0))

    def place(self, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """What a step moves whatever its rate (running means, balances) goes back before the next."""
        self.candidate.learner.model.train()
        with torch.no_grad():
            for buffer, before in self._buffers:
                buffer.copy_(before)
        return super().place(inputs)

    def figures(self) -> Mapping[str, float]:
        """Peak of the tensors alive in a step, and its parts, in bytes; how many parameters are in training."""
        memory = step_memory(self.candidate, self._weighed_on)
        return {
            "trained_parameters": float(sum(weight.numel() for weight in self.candidate.learner.trained())),
            "training_memory": memory["total"],
            "optimizer_bytes": memory["optimizer"],
            "training_memory.weights": memory["weights"],
            "training_memory.step": memory["step"],
        }

    def resident(self) -> Any:
        return self.candidate.learner.model
