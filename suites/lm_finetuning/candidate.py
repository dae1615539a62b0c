"""What a fine-tuning method builds."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from suites._training.training import Curve, Trainer


@dataclass(kw_only=True)
class Tuned:
    """An adapted model and what it took.

    model: called as the base is; it is scored and its speed is measured. shipped: what must be sent to someone who has
    the base. trainer: of the training that made it, where there was one: its step is weighed and timed. rate: the
    learning rate that was taken. curve: how the training went.
    delete: in the track `unlearn`, forget a training example (its index in the task's list): True if the model went on
    without training again. `model` then answers without it.
    by_task: models that answer the examples of one task each, where one is not to know all of them (a ceiling for
    merging); `model` then is only timed.
    """

    model: Any
    shipped: Mapping[str, Tensor] = field(default_factory=dict)
    trainer: Trainer | None = None
    rate: float | None = None
    curve: Curve = field(default_factory=Curve)
    delete: Callable[[int], bool] | None = None
    by_task: Mapping[str, Any] = field(default_factory=dict)

    def state_dict(self) -> dict[str, Tensor]:
        """What is shipped."""
        return dict(self.shipped)
