"""What a suite implements: the task, its data, its scores and its workloads. Budgets are data in suite.toml."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from bench.contract.limits import OperatingPoint
from bench.contract.score import Score
from bench.contract.task import SCALES, Task
from bench.contract.workload import Step, Workload

TaskT = TypeVar("TaskT", bound=Task)


@dataclass(frozen=True)
class Metric:
    """How the leaderboard reads a score or a cost: its title, unit and which way is better."""

    name: str
    title: str
    unit: str = ""
    better: str = "lower"
    primary: bool = False


@dataclass(frozen=True)
class SuiteInfo:
    """The content of suite.toml (see bench/contract/registry.py for the reader and suites/README.md for the format).

    baseline: slug of the method that every speed is a ratio to. bases: base models (or other starting points)
    by scale, the first of each is the default. scores and costs: how to read each figure. primary: the score that
    ranks; primary_costs: the costs that the frontier is drawn against.
    timing: scale -> {"seconds": measuring time per workload, "half_width": of the ratio's interval,
        "seeds": how many of a stochastic method's seeds are timed (default all)}.
    seeds: of each stochastic method, from 0, where none are asked for.
    timeout: scale -> seconds after which a run is stopped.
    """

    slug: str
    version: str
    title: str
    summary: str
    baseline: str
    points: Mapping[str, OperatingPoint]
    scores: Mapping[str, Metric]
    costs: Mapping[str, Metric]
    bases: Mapping[str, Sequence[str]]
    timing: Mapping[str, Mapping[str, float]]
    timeout: Mapping[str, float]
    notice: str = ""
    seeds: int = 3
    settings: Mapping[str, Any] = field(default_factory=dict)
    folder: Path = field(default=Path("."))

    @property
    def primary(self) -> Metric:
        """The score that ranks."""
        return next(metric for metric in self.scores.values() if metric.primary)


class Suite(ABC, Generic[TaskT]):
    """A suite: makes tasks, scores candidates, says what to time. One subclass in suites/<name>/suite.py.

    `info` is set by the registry from the suite.toml beside the module.
    """

    info: ClassVar[SuiteInfo]

    def missing(self, scale: str, base: str) -> str | None:
        """What is not installed for this scale and base, with the line that mends it, or None. Must be cheap."""
        return None

    @abstractmethod
    def task(self, *, scale: str, base: str, point: OperatingPoint, seed: int, device: str) -> TaskT:
        """What the method gets. Raises MissingAsset with the mending line."""

    @abstractmethod
    def evaluate(self, candidate: Any, task: TaskT) -> Sequence[Score]:
        """Quality on the evaluation split, and costs that are counted along the way (iterations, say), with samples."""

    @abstractmethod
    def workloads(self, task: TaskT) -> Sequence[Workload]:
        """What is timed, most important first."""

    def figures(self, candidate: Any, task: TaskT) -> Mapping[str, float]:
        """Exact figures that only the suite can read off a candidate, e.g. {"parameters": ..., "kv_bytes": ...}."""
        return {}

    def stored(self, candidate: Any) -> object | None:
        """What would be written to disk to ship the candidate (a state dict, say); the runner serialises it to
        get `stored_bytes`, and `stored_ratio` to the baseline's. None: the suite has no such cost."""
        return None

    def counted(self, candidate: Any, task: TaskT) -> Step | None:
        """A step whose executed operators are counted: `flops` per unit, `flops_ratio` to the baseline's."""
        return None


def at_scale(settings: Any, scale: str) -> Any:
    """Settings without those of other scales."""
    if not isinstance(settings, Mapping):
        return settings
    if scale in settings and set(settings) <= set(SCALES):
        return settings[scale]
    return {name: at_scale(value, scale) for name, value in settings.items()}
