"""The base class of every method: one file, one idea."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Generic, TypeVar

from bench.contract.card import Card
from bench.contract.limits import Limits
from bench.contract.task import Task

TaskT = TypeVar("TaskT", bound=Task)


class Method(ABC, Generic[TaskT]):
    """A method is a frozen dataclass: its fields are its hyper-parameters, `build` makes a candidate.

    A method never measures itself. It leaves what it finds in the task unchanged (copy the model before you
    cut it), takes all randomness from `task.seed`, and meets `limits.result` (ask `task.weigh(candidate)`).
    """

    card: ClassVar[Card]

    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {"default": {}}
    """Named settings of the fields that are benchmarked side by side, e.g. {"mlp": {"kind": "mlp"}}."""

    at_point: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Other settings at one operating point, e.g. {"size-25": {"rate": 1e-4}}, where the best were searched for there
    too. A variant's own settings go before them."""

    def supports(self, task: TaskT, limits: Limits) -> str | None:
        """Why this method can't be run on the task under these limits, in one sentence, or None if it can."""
        return None

    @abstractmethod
    def build(self, task: TaskT, limits: Limits) -> Any:
        """The candidate; of the type that the suite scores (e.g. an `nn.Module`)."""
