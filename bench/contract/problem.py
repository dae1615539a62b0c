"""What a problem implements: what the builder gets, what the judge holds, what is served. Budgets are in suite.toml."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from bench.contract.built import Built
from bench.contract.limits import OperatingPoint
from bench.contract.score import Score
from bench.contract.served import Served
from bench.contract.supply import AtHand, Meter, Supply
from bench.contract.task import Task
from bench.contract.workload import Step, Workload

TaskT = TypeVar("TaskT", bound=Task)
ExamT = TypeVar("ExamT")


@dataclass(frozen=True)
class Setting:
    """Where a run happens: scale, base model, operating point (with the limits of that scale), seed, torch device."""

    scale: str
    base: str
    point: OperatingPoint
    seed: int
    device: str = "cpu"


@dataclass(frozen=True)
class Tuning(Generic[TaskT]):
    """What a learning rate is chosen by. task: it may give less to train on than the operating point's. loss: of what
    was built on it, over data that methods may see and were not trained on here; never of the exam."""

    task: TaskT
    loss: Callable[[Built], float]


class Problem(ABC, Generic[TaskT, ExamT]):
    """A problem: data, scores and workloads of one kind. One subclass in the module that suite.toml names.

    `name` and `settings` are set by the engine: the problem's name, and its settings in suite.toml (the suite's own,
    and those of the problem, which go before them).

    Each of the three parties has an object of its own: `task` is called in the builder, `task` and `serve` where
    candidates are loaded, `supplies`, `exam`, `evaluate` and `workloads` in the judge. In a test or a notebook all can
    stand side by side: `task_at_hand` is the builder's, without another process.
    """

    name: ClassVar[str] = ""
    settings: ClassVar[Mapping[str, Any]] = {}

    def missing(self, scale: str, base: str) -> str | None:
        """What is not installed for this scale and base, with the line that mends it, or None. Must be cheap."""
        return None

    def prepare(self, setting: Setting) -> None:
        """Make what tasks start from and no method may make itself (a base that is trained on the training split, say),
        and keep it in the cache. Called before `task`, in a process of its own."""
        return

    def supplies(self, setting: Setting) -> Mapping[str, Supply]:
        """The data that a method may draw, by name."""
        return {}

    @abstractmethod
    def task(self, setting: Setting) -> TaskT:
        """What the method gets. Loads nothing yet: what is dear is loaded when it is asked for. Raises MissingAsset."""

    def spent(self, task: TaskT) -> Mapping[str, float]:
        """Figures of what the building took that only the builder can tell, e.g. {"build.flops": ...}. Asked there,
        once the candidate is built."""
        return {}

    def outfit(self, task: TaskT) -> None:
        """Load what a server has besides the candidate (a tokenizer; the base, where what is shipped is relative to
        it). Called before the artefact is read, from which on nothing more can be read."""
        return

    @abstractmethod
    def serve(self, candidate: Any, task: TaskT) -> Served[Any]:
        """The candidate, ready to be asked. The task may be used for what `outfit` has loaded."""

    def serve_rig(self, rig: Any, task: TaskT) -> Served[Any]:
        """What a candidate was trained on, ready to be stepped; where workloads are `of="rig"`."""
        raise NotImplementedError(f"problem {self.name} times no training")

    @abstractmethod
    def exam(self, setting: Setting) -> ExamT:
        """What the judge asks, with the answers. No method ever sees it."""

    @abstractmethod
    def evaluate(self, served: Any, exam: ExamT) -> Sequence[Score]:
        """Quality over the exam, and costs that are counted along the way (iterations, say), with samples."""

    def doubts(self, served: Any, exam: ExamT) -> tuple[str, str] | None:
        """What no border between processes can see: whether the answers are what they are said to be (an answer that
        must not depend on what comes later, a probability that must be one). Drawn at random, asked after the exam.

        A rule that was broken, and how; or None.
        """
        return None

    @abstractmethod
    def workloads(self, exam: ExamT) -> Sequence[Workload]:
        """What is timed, most important first."""

    def counted(self, task: TaskT) -> Step | None:
        """A step whose executed operators are counted: `flops` per unit, `flops_ratio` to the baseline's. Its inputs
        must not hang on the draw of random numbers."""
        return None

    def tuning(self, setting: Setting) -> Tuning[TaskT] | None:
        """For `effbench tune`; None where nothing is trained."""
        return None

    def task_at_hand(self, setting: Setting) -> TaskT:
        """The task with its supplies in this very process, under the meter of the operating point."""
        self.prepare(setting)
        task = self.task(setting)
        meter = Meter(setting.point.limits)
        task.limits = setting.point.limits
        task.supplies = {name: AtHand(supply, meter) for name, supply in self.supplies(setting).items()}
        task.left = meter.left
        return task
