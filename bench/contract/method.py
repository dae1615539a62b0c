"""The base class of every method: one file, one idea."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Generic, TypeVar

from bench.contract.card import Card
from bench.contract.task import Task

TaskT = TypeVar("TaskT", bound=Task)


class Method(ABC, Generic[TaskT]):
    """A method is a frozen dataclass: its fields are its hyper-parameters, `build` makes a candidate.

    A method never measures itself. It leaves what it finds in the task unchanged (copy the model before you cut it),
    takes all randomness from `task.seed`, and meets `task.limits` (ask `task.weigh(candidate)`).

    `card`, `variants` and `at_point` are written as plain literals: they are read without running the file.
    """

    card: ClassVar[Card]

    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {"default": {}}
    """Named settings of the fields that are benchmarked side by side, e.g. {"mlp": {"kind": "mlp"}}."""

    at_point: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Other settings at one operating point, e.g. {"size-25": {"rate": 1e-4}}, where the best were searched for there
    too. A variant's own settings go before them."""

    def supports(self, task: TaskT) -> str | None:
        """Why this method can't be run on the task, in one sentence, or None if it can.

        Asked before anything is loaded. What a task has to load, it loads when it is asked for, so look at the limits
        and at what is installed first, and at the model only where nothing else tells.
        """
        return None

    @abstractmethod
    def build(self, task: TaskT) -> Any:
        """The candidate, of the type that the problem serves (e.g. an `nn.Module`): it is written to disk as it is and
        loaded again in another process. Or a `Built`, where the method trained."""
