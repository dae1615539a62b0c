"""What learns, and by what: a method derives from it what it does otherwise than others."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from suites._training.batch import Batch

BatchT = TypeVar("BatchT", bound=Batch)


@dataclass(frozen=True)
class Moment:
    """Step number `step` of `steps`. done: the part of the training that is over, by its steps or by its clock,
    whichever is further on."""

    step: int
    steps: int
    done: float = 0.0


class Learner(ABC, Generic[BatchT]):
    """A model while it learns. It can be pickled: after the training one more step of it is weighed and timed.

    model: what requires a gradient trains. 16-bit weights that train are kept in 32 bits too. references: frozen models
    that a step reads besides (a teacher, say); they are weighed with it.
    """

    references: Sequence[nn.Module] = ()

    def __init__(self, model: Any) -> None:
        self.model = model

    def trained(self) -> list[nn.Parameter]:
        """What trains now. May change from step to step: the optimizer forgets what is gone."""
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]

    def optimizer(self, weights: Sequence[Tensor]) -> torch.optim.Optimizer:
        """One for these weights; the trainer sets the rate of its groups, times their "scale" if they have one."""
        return torch.optim.AdamW(weights, lr=0.0, weight_decay=0.0)

    @abstractmethod
    def loss(self, batch: BatchT) -> Tensor:
        """What the data say: a scalar."""

    def validation(self, batch: BatchT) -> Tensor:
        """What a batch is judged by that is never trained on: a scalar, smaller is better."""
        return self.loss(batch)

    def penalty(self) -> Tensor | None:
        """What is added to the loss besides."""
        return None

    def before_step(self, moment: Moment) -> None:
        """Before the forward pass."""
        return

    def before_update(self, moment: Moment) -> None:
        """When the weights have their gradients."""
        return

    def after_update(self, moment: Moment) -> None:
        """When the weights have moved."""
        return
