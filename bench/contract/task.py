"""What a method may see. Each problem derives its own task type from `Task`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.contract.limits import Limits
from bench.contract.supply import Drawn

SCALES = ("tiny", "embedded", "full")
"""tiny: seconds, toy weights; embedded: real weights and data from pip packages; full: hub models on a GPU."""


class MissingAsset(Exception):
    """Weights or data that the scale needs are not installed; the message says the line that mends it."""


@dataclass(kw_only=True)
class Task:
    """Base of every problem's task: everything a method may use, and never the exam.

    scale: one of SCALES. seed: the only source of randomness. device: a torch device name such as "cpu", "cuda".
    limits: of the operating point, on the result and on getting there. weigh: candidate -> every figure that a limit
    on the result names (e.g. {"stored_ratio": 0.49}), by the same code as the judge's check, so that a method can meet
    a limit to the digit. supplies: data by name, metered by whoever holds it: for the iterators of a problem's task.
    left: how much of a meter may still be drawn, None where it has no limit.
    """

    scale: str
    seed: int
    device: str = "cpu"
    limits: Limits = field(default_factory=Limits)
    weigh: Callable[[Any], Mapping[str, float]] = field(default=lambda candidate: {}, repr=False)
    supplies: Mapping[str, Drawn] = field(default_factory=dict, repr=False)
    left: Callable[[str], int | None] = field(default=lambda meter: None, repr=False)

    def still_over(self, candidate: Any, what: str) -> str | None:
        """Why a limit on the result can't be met, or None. candidate: the least that a method can make of the model;
        what: says what that is, "every matrix at rank 1"."""
        if not self.limits.result:
            return None
        figures = self.weigh(candidate)
        for name, allowed in self.limits.result.items():
            if figures[name] > allowed:
                return f"{name} is still {figures[name]:.3f} with {what}; the limit is {allowed:g}"
        return None
