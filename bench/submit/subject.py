"""What a check looks at: a method, a suite, or the changes of a submission."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

from bench.registry import Listed, Registry, SuiteInfo
from bench.run.plan import Job, Selection, make_plan
from bench.submit.trials import Trial, TrialRunner

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class MethodSubject:
    """A registered method. `runner` runs it at tiny scale; each run is done once, whichever check asks for it.

    quick: the only run that is looked at; without it every variant is tried at every operating point, and timed at one.
    together: methods that are checked in the same session, so that what takes long to start looks at all of them at
    once.
    """

    registry: Registry
    listed: Listed
    runner: TrialRunner
    quick: Job | None = None
    together: tuple[Listed, ...] = ()
    _trials: dict[Job, Trial] = field(default_factory=dict)

    @property
    def info(self) -> SuiteInfo:
        """Of its suite."""
        return self.registry.suite(self.listed.suite)

    @property
    def name(self) -> str:
        """Of its file."""
        return self.listed.place.name

    @property
    def text(self) -> str:
        """Of its file."""
        return self.registry.tree.read(self.listed.place).decode()

    @cached_property
    def texts(self) -> Mapping[PurePosixPath, str]:
        """Of its own file first, then of the helpers that it is made of; what belongs to the suite is not its own."""
        of_suite = {
            place for problem in self.info.problems.values() for place in self.registry.problem_content(problem).places
        }
        helpers = self.registry.content(self.listed).places - of_suite - {self.listed.place}
        mine = [place for place in sorted(helpers) if place.parts[0] != "suites"]
        return {place: self.registry.tree.read(place).decode() for place in (self.listed.place, *mine)}

    @cached_property
    def jobs(self) -> list[Job]:
        """Every variant that is tried at every operating point that it is for, at tiny scale, scored but not timed, on
        one thread.

        On the suite's first base; if the method says of all of them that it can't be run there, on the next one.
        """
        if self.quick is not None:
            return [self.quick]
        plans = [self._plan(base) for base in self.info.bases["tiny"]]
        for jobs in plans:
            if any(self.trial(job).outcome.status != "unsupported" for job in jobs):
                return jobs
        return plans[0]

    def _plan(self, base: str) -> list[Job]:
        methods = [f"{self.listed.slug}:{variant}" for variant in self.variants]
        wanted = Selection(self.listed.suite, methods, (), (0,), "tiny", base, threads=1, timed=False)
        return make_plan(self.registry, wanted)

    def trial(self, job: Job) -> Trial:
        """What came of a job."""
        if job not in self._trials:
            self._trials[job] = self.runner(job)
        return self._trials[job]

    @property
    def variants(self) -> list[str]:
        """Those that are tried."""
        return list(self.listed.variants) if self.quick is None else [self.quick.variant]

    @cached_property
    def first_ok(self) -> dict[str, Job]:
        """For each variant that ends well anywhere, the first operating point at which it does."""
        first: dict[str, Job] = {}
        for job in self.jobs:
            if job.variant not in first and self.trial(job).outcome.status == "ok":
                first[job.variant] = job
        return first

    def timed_jobs(self) -> list[Job]:
        """The first operating point at which each variant ends well, with its workloads timed."""
        return [replace(job, timed=True) for job in self.first_ok.values()] if self.quick is None else []

    def trials(self) -> list[tuple[Job, Trial]]:
        """Every job that is tried, then those that are timed, with what came of them."""
        return [(job, self.trial(job)) for job in [*self.jobs, *self.timed_jobs()]]


@dataclass(frozen=True)
class SuiteSubject:
    """A registered suite. `runner` runs its baselines at tiny scale."""

    registry: Registry
    slug: str
    runner: TrialRunner

    @property
    def info(self) -> SuiteInfo:
        return self.registry.suite(self.slug)

    @property
    def folder(self) -> Path:
        return ROOT / self.info.folder

    def baseline_jobs(self) -> Iterator[Job]:
        """The baseline of each problem where its result is limited least, at tiny scale, not timed."""
        for name, problem in self.info.problems.items():
            points = [point for point in self.info.points.values() if point.problem == name]
            least = [point.name for point in sorted(points, key=lambda point: len(point.limits.result))][:1]
            wanted = Selection(self.slug, [problem.baseline], least, (0,), "tiny", threads=1, timed=False)
            yield from make_plan(self.registry, wanted)[:1] if least else ()

    @property
    def files(self) -> list[Path]:
        return sorted(path for path in self.folder.rglob("*") if path.suffix in (".py", ".toml", ".md"))
