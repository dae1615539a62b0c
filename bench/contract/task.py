"""What a method may see. Each suite derives its own task type from `Task`."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.contract.limits import Limits, OverBudget

SCALES = ("tiny", "embedded", "full")
"""tiny: seconds, toy weights; embedded: real weights and data from pip packages; full: hub models on a GPU."""


class MissingAsset(Exception):
    """Weights or data that the scale needs are not installed; the message says the line that mends it."""


@dataclass(kw_only=True)
class Task:
    """Base of every suite's task: everything a method may use, and never the evaluation split.

    scale: one of SCALES. seed: the only source of randomness. device: a torch device name such as "cpu", "cuda".
    weigh: candidate -> figures that the limits speak of (e.g. {"stored_ratio": 0.49}), by the same code as the
        runner's check, so that a method can meet a limit to the digit.
    """

    scale: str
    seed: int
    device: str = "cpu"
    weigh: Callable[[Any], Mapping[str, float]] = field(default=lambda candidate: {}, repr=False)
    limits: Limits = field(default_factory=Limits)
    drawn: Counter[str] = field(default_factory=Counter)

    def draw(self, supply: str, amount: int) -> None:
        """Meter `amount` units of a supply (e.g. "calibration_tokens"). Called by the iterators of a suite's task.

        Raises OverBudget once more is drawn than the operating point allows.
        """
        self.drawn[supply] += amount
        allowed = self.limits.supplies.get(supply)
        if allowed is not None and self.drawn[supply] > allowed:
            raise OverBudget(supply, self.drawn[supply], allowed)
