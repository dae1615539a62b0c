"""Which records a suite wants, in which order, and how long those that are not there yet will take.

Wanted are three seeds where a claim of a card speaks, of the method that claims and of those it is held against, or as
many as their cards ask for; one seed elsewhere, and baselines once. First come baselines, then what claims speak of,
point by point, then its other seeds, then the rest. The only point of a problem that limits no figure is there for the
reference: no claim speaks of it, it comes last, and the baseline runs nowhere else.
"""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from bench import measure
from bench.record.environment import hardware_class
from bench.record.schema import Record
from bench.record.store import answers
from bench.registry import ProblemInfo, Registry, SuiteInfo
from bench.registry.key import is_todays
from bench.run.plan import Job, Selection, make_plan

SEEDS = 3
"""The fewest that give an interval; see bench.measure.statistics.MIN_SEEDS, which is slow to import."""

Kind = Literal["measured", "estimated", "missing"]
Configuration = tuple[str, str, str]
"""Method, variant, point."""


def reference_point(info: SuiteInfo, problem: str) -> str | None:
    """The only point of a problem that limits no figure of the result, beside others that do; None without one."""
    points = [name for name, point in info.points.items() if point.problem == problem]
    free = [name for name in points if not info.points[name].limits.result]
    return free[0] if len(free) == 1 and len(points) > 1 else None


def claimed(registry: Registry, suite: str) -> dict[Configuration, int]:
    """What claims speak of: each method that claims, with those that it is held against after it, and its place."""
    info = registry.suite(suite)
    methods = registry.methods_of(suite)
    found: dict[Configuration, int] = {}
    for point, problem in ((name, info.problem_of(name)) for name in info.points):
        if point == reference_point(info, problem.name):
            continue
        here = [listed for listed in methods.values() if listed.is_for(problem.name)]
        for listed in here:
            for claim in listed.card.claims:
                versus = claim.versus or problem.baseline
                theirs = [
                    (other.slug, variant, point)
                    for other in here
                    for variant in other.variants
                    if versus in (other.slug, f"{other.slug}:{variant}")
                ]
                if claim.metric not in problem.metrics or not theirs:
                    continue
                own = [variant for variant in listed.variants if listed.card.is_claimed(claim, variant, point)]
                for each in [*((listed.slug, variant, point) for variant in own), *(theirs if own else [])]:
                    found.setdefault(each, len(found))
    return found


def value(info: SuiteInfo, spoken: Mapping[Configuration, int], job: Job) -> tuple[int, ...]:
    """What runs of a suite are sorted by: the least comes first. spoken: see `claimed`."""
    rank = spoken.get((job.method, job.variant, job.point))
    baseline = job.method == info.problem_of(job.point).baseline
    stage = 0 if baseline and not job.seed else 3 if rank is None else 2 if job.seed else 1
    reference = job.point == reference_point(info, job.problem)
    return stage, reference, list(info.points).index(job.point), job.seed, rank or 0


def wanted_jobs(registry: Registry, selections: Iterable[Selection]) -> list[Job]:
    """The runs that suites want, most valuable first. selections: one of each suite, without seeds. Raises as
    `make_plan`."""
    valued: list[tuple[tuple[int, ...], Job]] = []
    for place, selection in enumerate(selections):
        info = registry.suite(selection.suite)
        spoken = claimed(registry, info.slug)
        for job in make_plan(registry, selection):
            problem, reference = info.problem_of(job.point), reference_point(info, job.problem)
            seeds = registry.method(info.slug, job.method).card.seeds or SEEDS
            if job.seed >= (seeds if (job.method, job.variant, job.point) in spoken else 1):
                continue
            if job.method == problem.baseline and reference not in (None, job.point):
                continue
            of = value(info, spoken, job)
            valued.append(((of[0], place, *of[1:]), replace(job, timed=job.timed and bool(problem.workloads))))
    return [job for _, job in sorted(valued, key=lambda each: each[0])]


def to_do(registry: Registry, jobs: Sequence[Job], records: Iterable[Record]) -> list[Job]:
    """The jobs that no record of today's code answers. Scores count wherever they were measured, unless the point's
    clock decides how much is done; times, and what came to nothing, count on this machine's hardware alone. A method
    that says with one seed that it can't be run there is not asked with others."""
    asked = {(*_configuration(job), job.seed): job for job in jobs}
    here = {where: hardware_class(*where) for where in {(job.device, job.threads) for job in jobs}}
    done: set[Job] = set()
    cannot: set[tuple[str, ...]] = set()
    for record in records:
        job = asked.get((*_configuration(record), record.seed))
        if job is None or job in done or not answers(record, job.timed):
            continue
        if record.hardware != here[job.device, job.threads] and (
            job.timed or record.status != "ok" or registry.point(job.suite, job.point).clock
        ):
            continue
        if is_todays(registry, record, measure.VERSION):
            done.add(job)
            if record.status == "unsupported":
                cannot.add(_configuration(job))
    return [job for job in jobs if job not in done and _configuration(job) not in cannot]


def _configuration(of: Job | Record) -> tuple[str, ...]:
    return of.suite, of.method, of.variant, of.point, of.scale, of.base


@dataclass(frozen=True)
class Expected:
    """How long a run takes, seconds by the clock: without times, and what they add. kind: where that is known from."""

    score: float
    timing: float
    kind: Kind

    @property
    def seconds(self) -> float:
        return self.score + self.timing


@dataclass
class Durations:
    """What runs are known to take: medians of records, fresh or not, of the same scale, base and kind of device."""

    registry: Registry
    _known: dict[tuple[object, ...], list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, records: Iterable[Record]) -> None:
        for record in records:
            if record.disturbed:
                continue
            where = record.suite, record.scale, record.base, record.environment.gpu is None, bool(record.timings)
            mine = record.method, record.variant, record.point
            levels = [mine] if record.status != "ok" else [mine, (record.method, record.point), (record.method,), ()]
            for level in levels:
                self._known[*where, level].append(record.seconds)

    def of(self, job: Job) -> Expected:
        """Of the same method at the point, else elsewhere, else of the suite, else the most that the build may take."""
        info = self.registry.suite(job.suite)
        limit = info.points[job.point].at(job.scale).limits.build_seconds or info.timeout[job.scale]
        score, kind = self._median(job, timed=False) or self._median(job, timed=True) or (limit, "missing")
        return Expected(score, self._timing(job, info.problem_of(job.point)) if job.timed else 0.0, kind)

    def _timing(self, job: Job, problem: ProblemInfo) -> float:
        """By how much timed runs take longer; without records of both, as long as the suite allows the workloads."""
        for only in ("measured", "estimated"):
            with_times, without = (self._median(job, timed=timed, only=only) for timed in (True, False))
            if with_times and without:
                return max(0.0, with_times[0] - without[0])
        return len(problem.workloads) * self.registry.suite(job.suite).timing[job.scale]["seconds"]

    def _median(self, job: Job, *, timed: bool, only: str = "") -> tuple[float, Kind] | None:
        where = job.suite, job.scale, job.base, job.device == "cpu", timed
        levels: dict[tuple[str, ...], Kind] = {
            (job.method, job.variant, job.point): "measured",
            (job.method, job.point): "measured",
            (job.method,): "estimated",
            (): "estimated",
        }
        for level, kind in levels.items():
            if only in ("", kind) and (seconds := self._known.get((*where, level))):
                return statistics.median(seconds), kind
        return None
