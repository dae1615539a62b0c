"""Training for those who need no learner of their own: a model, batches and a loss."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from suites._training.batch import Whole
from suites._training.learner import Learner, Moment
from suites._training.loop import train
from suites._training.schedules import WARM_UP, by_steps
from suites._training.trainer import CLIP, Trainer

Hook = Callable[[int], None]
"""Is given the index of the step."""


def fit(
    model: Any,
    batches: Iterable[Tensor],
    loss: Callable[[Tensor], Tensor],
    *,
    learning_rate: float,
    weight_decay: float = 0.0,
    warm_up: float = WARM_UP,
    clip: float = CLIP,
    before_update: Hook | None = None,
    after_update: Hook | None = None,
) -> list[float]:
    """AdamW on the parameters of `model` that require a gradient; the loss of each step.

    warm_up: share of the steps in which the rate rises. clip: largest norm of the gradient. before_update is called
    when the weights have their gradients, after_update when they have moved. The model ends in eval mode, without
    gradients. Raises FloatingPointError when a loss is not finite.
    """
    learner = _Fitted(model, loss, weight_decay, before_update, after_update)
    steps = [Whole(batch) for batch in batches]
    return train(Trainer(learner, clip=clip), steps, learning_rate, schedule=by_steps(warm_up)).losses


class _Fitted(Learner[Whole]):
    """A learner of plain functions."""

    def __init__(
        self,
        model: Any,
        loss: Callable[[Tensor], Tensor],
        weight_decay: float,
        before_update: Hook | None,
        after_update: Hook | None,
    ) -> None:
        super().__init__(model)
        self._loss, self._weight_decay = loss, weight_decay
        self._before_update, self._after_update = before_update, after_update

    def optimizer(self, weights: Sequence[Tensor]) -> torch.optim.Optimizer:
        return torch.optim.AdamW(weights, lr=0.0, weight_decay=self._weight_decay)

    def loss(self, batch: Whole) -> Tensor:
        return self._loss(batch.data)

    def before_update(self, moment: Moment) -> None:
        if self._before_update is not None:
            self._before_update(moment.step)

    def after_update(self, moment: Moment) -> None:
        if self._after_update is not None:
            self._after_update(moment.step)
