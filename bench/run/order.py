"""What the parties of a run are told: plain data, so that no party has to look for anything, and nobody imports what is
not its own."""

import importlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bench.contract import Limits, Method, OperatingPoint, Problem, Setting
from bench.registry import ProblemInfo, SuiteInfo
from bench.registry.registry import Listed, ready
from bench.run.cast import in_dtype


@dataclass(frozen=True)
class Made:
    """A method with its settings. module, name: of its class."""

    module: str
    name: str
    fields: Mapping[str, Any]

    @classmethod
    def of(cls, listed: Listed, variant: str, point: str | None) -> "Made":
        return cls(listed.module, listed.name, listed.settings(variant, point))

    def method(self) -> Method[Any]:
        """Runs the method's file."""
        made: Method[Any] = getattr(importlib.import_module(self.module), self.name)(**self.fields)
        return made


@dataclass(frozen=True)
class Order:
    """A run. module, settings: of the problem. scores, costs: names of all that the suite knows. training: names of the
    workloads that step what a candidate was trained on. workloads: the only ones that are timed; none means all.
    timing: see SuiteInfo. realised: see Card. baseline_key: of the baseline's artefact in the cache. data:
    distributions that hold what is out of a method's reach. protected: folders of records. folder: the run's, where
    each party has its own. made: folder of an artefact that is judged as it is, in place of building one. keep: folder
    that gets the artefact of a run that ends well. dtype: of the base's weights, where another than the scale's."""

    suite: str
    problem: str
    module: str
    settings: Mapping[str, Any]
    method: Made
    baseline: Made
    baseline_key: str
    point: OperatingPoint
    scale: str
    base: str
    seed: int
    device: str
    threads: int
    scores: tuple[str, ...]
    costs: tuple[str, ...]
    training: tuple[str, ...]
    timed: bool
    workloads: tuple[str, ...]
    timing: Mapping[str, float]
    realised: bool
    data: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()
    folder: str = ""
    made: str = ""
    keep: str = ""
    dtype: str = ""

    @classmethod
    def of(cls, info: SuiteInfo, problem: ProblemInfo, method: Made, baseline: Made, **rest: Any) -> "Order":
        return cls(
            suite=info.slug,
            problem=problem.name,
            module=problem.module,
            settings=problem.settings,
            method=method,
            baseline=baseline,
            scores=tuple(problem.scores),
            costs=tuple(problem.costs),
            training=tuple(name for name, each in problem.workloads.items() if each.training),
            data=info.data,
            **rest,
        )

    @property
    def setting(self) -> Setting:
        """Where the method's run happens."""
        return Setting(self.scale, self.base, self.point, self.seed, self.device)

    @property
    def baseline_setting(self) -> Setting:
        """Where the baseline is built: under no limits, and from one seed for all."""
        return Setting(self.scale, self.base, unlimited(self.point), 0, self.device)

    def load_problem(self) -> Problem[Any, Any]:
        """Runs the suite's files."""
        problem = ready(importlib.import_module(self.module), self.problem, self.settings)
        return in_dtype(problem, self.dtype) if self.dtype else problem

    def plain(self) -> dict[str, Any]:
        """To be sent."""
        return asdict(self)

    @classmethod
    def read(cls, message: Mapping[str, Any]) -> "Order":
        """What was sent."""
        point = dict(message["point"])
        point["limits"] = Limits(**point["limits"])
        given = {
            **message,
            "method": Made(**message["method"]),
            "baseline": Made(**message["baseline"]),
            "point": OperatingPoint(**point),
            **{
                name: tuple(message[name]) for name in ("scores", "costs", "training", "workloads", "data", "protected")
            },
        }
        return cls(**given)


def unlimited(point: OperatingPoint) -> OperatingPoint:
    """The point without its limits."""
    return OperatingPoint(point.name, point.title, point.problem, Limits(), point.settings, point.clock)
