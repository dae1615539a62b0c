"""The content of suite.toml: problems, operating points, scores, workloads, budgets. suites/README.md has the keys."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from bench.contract import SCALES, Limits, OperatingPoint
from bench.contract.card import SLUG, Card
from bench.registry.charts import ChartInfo, read_chart
from bench.registry.costs import derived_costs
from bench.registry.metrics import Metric, WorkloadInfo

AREAS = (
    "language", "vision", "multimodal", "generation", "audio and signals", "science", "recommendation",
)  # fmt: skip

DTYPES = ("float16", "bfloat16", "float32", "float64")
"""Of a base's weights."""


class BadSuite(ValueError):
    """A suite.toml that can't be read or contradicts itself; the message says where, and what there is."""


@dataclass(frozen=True)
class ProblemInfo:
    """What is solved. module: dotted, where its Problem lies. settings: the suite's, and its own, which go before.

    scores, costs, workloads: those of the suite that it has, by name. primary: the score that ranks. primary_costs: the
    costs that the frontier is drawn against. baseline: slug of the method that every ratio is to. clock: see the
    points.
    """

    name: str
    title: str
    summary: str
    module: str
    baseline: str
    settings: Mapping[str, Any]
    scores: Mapping[str, Metric]
    costs: Mapping[str, Metric]
    workloads: Mapping[str, WorkloadInfo]
    primary: Metric

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """Scores and costs."""
        return {**self.scores, **self.costs}

    @property
    def primaries(self) -> list[Metric]:
        """The primary score, then the primary costs."""
        return [self.primary, *(metric for metric in self.costs.values() if metric.primary)]


@dataclass(frozen=True)
class SuiteInfo:
    """A suite. package: dotted, of its folder. bases: base models (or other starting points) by scale, the first of
    each is the default. libraries: distributions whose versions can change a result; data: those that hold the data.
    preload: modules that are dear to import, which the warm process does once. extra: of pyproject.toml, with them all.

    timing: scale -> {"seconds": measuring time per workload, "half_width": of the ratio's interval,
        "seeds": how many of a stochastic method's seeds are timed (default all)}.
    seeds: of each stochastic method, from 0, where none are asked for. timeout: scale -> seconds after which a run is
    stopped. dtype: scale -> type of the base's weights, a name of torch's, where it is not the tiny scale's.
    charts: the pictures that its field is used to.
    """

    slug: str
    area: str
    version: str
    title: str
    summary: str
    baseline: str
    problems: Mapping[str, ProblemInfo]
    points: Mapping[str, OperatingPoint]
    bases: Mapping[str, Sequence[str]]
    timing: Mapping[str, Mapping[str, float]]
    timeout: Mapping[str, float]
    notice: str = ""
    seeds: int = 3
    dtype: Mapping[str, str] = field(default_factory=dict)
    libraries: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    preload: tuple[str, ...] = ()
    extra: str = ""
    charts: tuple[ChartInfo, ...] = ()
    folder: PurePosixPath = field(default=PurePosixPath("."))
    package: str = ""

    def problem_of(self, point: str) -> ProblemInfo:
        """The problem of an operating point."""
        return self.problems[self.points[point].problem]

    def seeds_of(self, card: Card) -> int:
        """How many seeds a method is run with, from 0, where none are asked for."""
        return (card.seeds or self.seeds) if card.stochastic else 1

    @cached_property
    def scores(self) -> Mapping[str, Metric]:
        """Of all of its problems."""
        return {name: metric for problem in self.problems.values() for name, metric in problem.scores.items()}

    @cached_property
    def costs(self) -> Mapping[str, Metric]:
        """Of all of its problems."""
        return {name: metric for problem in self.problems.values() for name, metric in problem.costs.items()}

    @cached_property
    def workloads(self) -> Mapping[str, WorkloadInfo]:
        """Of all of its problems."""
        return {name: each for problem in self.problems.values() for name, each in problem.workloads.items()}


def read_suite(text: bytes, folder: PurePosixPath, package: str) -> SuiteInfo:
    """A suite.toml. Raises BadSuite."""
    try:
        return _read(tomllib.loads(text.decode()), folder, package)
    except BadSuite as error:
        raise BadSuite(f"{folder / 'suite.toml'}: {error}") from error
    except KeyError as error:
        raise BadSuite(f"{folder / 'suite.toml'}: {error} is missing") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise BadSuite(f"{folder / 'suite.toml'}: {error}") from error


def _read(data: dict[str, Any], folder: PurePosixPath, package: str) -> SuiteInfo:
    if not SLUG.fullmatch(data["slug"]):
        raise BadSuite(f"slug {data['slug']!r}: use lower-case words joined by '-'")
    if data["area"] not in AREAS:
        raise BadSuite(f"area {data['area']!r} is none of {', '.join(AREAS)}")
    shared = _Shared(
        data["baseline"],
        package,
        data.pop("settings", {}),
        {name: Metric.read(name, metric) for name, metric in data.pop("scores").items()},
        {name: Metric.read(name, metric) for name, metric in data.pop("costs", {}).items()},
        {name: WorkloadInfo(name, **workload) for name, workload in data.pop("workloads", {}).items()},
        tuple(data.pop("primary_costs", ())),
        data.pop("counted", ""),
        data.pop("stored", True),
    )
    problems = {name: _problem(name, problem, shared) for name, problem in data.pop("problems", {}).items()}
    if not problems:
        raise BadSuite("it has no problem: add [problems.NAME]")
    allowances = data.pop("allowances", {})
    points = {name: _point(name, point, problems, allowances) for name, point in data.pop("points").items()}
    _check_allowances(allowances, points)
    requires = data.pop("requires", {})
    for name in ("bases", "timing", "timeout"):
        if lacking := [scale for scale in SCALES if scale not in data[name]]:
            raise BadSuite(f"{name} says nothing for the scale {lacking[0]}")
    _check_dtype(data.get("dtype", {}))
    metrics = {name: problem.metrics for name, problem in problems.items()}
    charts = data.pop("charts", {})
    return SuiteInfo(
        problems=problems,
        points=points,
        charts=tuple(read_chart(name, chart, metrics) for name, chart in charts.items()),
        folder=folder,
        package=package,
        libraries=tuple(requires.get("libraries", ())),
        data=tuple(requires.get("data", ())),
        preload=tuple(requires.get("preload", ())),
        extra=requires.get("extra", ""),
        **data,
    )


@dataclass(frozen=True)
class _Shared:
    """What all problems of a suite have, unless they say otherwise."""

    baseline: str
    package: str
    settings: Mapping[str, Any]
    scores: Mapping[str, Metric]
    costs: Mapping[str, Metric]
    workloads: Mapping[str, WorkloadInfo]
    primary_costs: tuple[str, ...]
    counted: str
    stored: bool


def _problem(name: str, data: dict[str, Any], shared: _Shared) -> ProblemInfo:
    def chosen(kind: str, known: Mapping[str, Any]) -> dict[str, Any]:
        names = data.get(kind, list(known))
        if unknown := [each for each in names if each not in known]:
            raise BadSuite(f"problem {name}: its {kind} name {unknown[0]!r}; there are {', '.join(known)}")
        return {each: known[each] for each in names}

    scores, workloads = chosen("scores", shared.scores), chosen("workloads", shared.workloads)
    primary = data.get("primary", next((each.name for each in scores.values() if each.primary), None))
    if primary not in scores:
        raise BadSuite(f"problem {name}: exactly one of its scores has to be primary")
    baseline = data.get("baseline", shared.baseline)
    costs = derived_costs(
        workloads.values(), data.get("counted", shared.counted), baseline, data.get("stored", shared.stored)
    ) | chosen("costs", shared.costs)
    if doubled := sorted(costs.keys() & scores.keys()):
        raise BadSuite(f"problem {name}: {doubled[0]!r} is a score and a cost")
    leading = data.get("primary_costs", [each for each in shared.primary_costs if each in costs])
    if unknown := [each for each in leading if each not in costs]:
        raise BadSuite(f"problem {name}: the primary cost {unknown[0]!r} is none of its costs")
    # The leading costs come first, in the order in which they are named.
    ordered = {each: costs[each].as_primary() for each in leading} | {
        each: metric for each, metric in costs.items() if each not in leading
    }
    return ProblemInfo(
        name=name,
        title=data["title"],
        summary=data.get("summary", ""),
        module=f"{shared.package}.{data.get('module', name.replace('-', '_'))}",
        baseline=baseline,
        settings={**shared.settings, **data.get("settings", {})},
        scores={each: metric.as_primary(each == primary) for each, metric in scores.items()},
        costs=ordered,
        workloads=workloads,
        primary=scores[primary].as_primary(),
    )


def _point(
    name: str, data: dict[str, Any], problems: Mapping[str, ProblemInfo], allowances: Mapping[str, Mapping[str, float]]
) -> OperatingPoint:
    problem = str(data.get("problem", next(iter(problems)) if len(problems) == 1 else None))
    if problem not in problems:
        raise BadSuite(f"point {name}: its problem is {problem!r}; there are {', '.join(problems)}")
    limits = data.get("limits", {})
    if unknown := [each for each in limits if each not in problems[problem].metrics]:
        raise BadSuite(f"point {name}: it limits {unknown[0]!r}, which is no score and no cost of {problem}")
    build = dict(data.get("build", {}))
    return OperatingPoint(
        name=name,
        title=data["title"],
        problem=problem,
        limits=Limits(limits, build.pop("seconds", None), build.pop("memory_bytes", None), build),
        settings=data.get("settings", {}),
        clock=data.get("clock", False),
        allowances=allowances,
    )


def _check_allowances(allowances: Mapping[str, Any], points: Mapping[str, OperatingPoint]) -> None:
    known = {"seconds", "memory_bytes"}.union(*(point.limits.supplies for point in points.values()))
    for scale, factors in allowances.items():
        if wrong := sorted(set(factors) - known):
            raise BadSuite(f"allowances.{scale}: no point limits {wrong[0]!r}; there are {sorted(known)}")


def _check_dtype(dtype: Mapping[str, Any]) -> None:
    for scale, name in dtype.items():
        if scale not in SCALES or name not in DTYPES:
            raise BadSuite(f"dtype: {scale} = {name!r}; scales are {', '.join(SCALES)}, types {', '.join(DTYPES)}")


def at_scale(settings: Any, scale: str) -> Any:
    """Settings without those of other scales."""
    if not isinstance(settings, Mapping):
        return settings
    if scale in settings and set(settings) <= set(SCALES):
        return settings[scale]
    return {name: at_scale(value, scale) for name, value in settings.items()}


def folder_of(info: SuiteInfo, root: Path) -> Path:
    """The suite's folder on disk."""
    return root / info.folder
