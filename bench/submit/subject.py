"""What a check looks at: a method, a suite, or the changes of a submission."""

import sys
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from bench.contract import Method, Suite, SuiteInfo
from bench.contract.registry import Registry
from bench.contract.sources import sources
from bench.run.plan import Job, make_plan
from bench.submit.trials import Trial, TrialRunner


@dataclass
class MethodSubject:
    """A registered method. `runner` runs it at tiny scale; each run is done once, whichever check asks for it.

    thorough: whether every variant is tried at every operating point, and timed; otherwise the first variant alone is,
    until it has ended well at one of them.
    """

    registry: Registry
    slug: str
    runner: TrialRunner
    thorough: bool = True
    _trials: dict[Job, Trial] = field(default_factory=dict)

    @property
    def method(self) -> type[Method[Any]]:
        return self.registry.method(self.slug)

    @property
    def info(self) -> SuiteInfo:
        """Of its suite; UnknownName if there is no such suite."""
        return self.registry.suite(self.method.card.suite).info

    @property
    def file(self) -> Path:
        return Path(str(sys.modules[self.method.__module__].__file__))

    @property
    def files(self) -> list[Path]:
        """Its own file first, then the helpers that it is made of."""
        return [self.file, *sorted(sources(sys.modules[self.method.__module__]) - {self.file})]

    @cached_property
    def jobs(self) -> list[Job]:
        """Every variant that is tried at every operating point at tiny scale, scored but not timed, on one thread.

        On the suite's first base; if the method says of all of them that it can't be run there, on the next one.
        """
        plans = [self._plan(base) for base in self.info.bases["tiny"]]
        for jobs in plans:
            if any(self.trial(job).outcome.status != "unsupported" for job in jobs):
                return jobs
        return plans[0]

    def _plan(self, base: str) -> list[Job]:
        suite = self.method.card.suite
        return make_plan(
            self.registry,
            suite=suite,
            methods=[f"{self.slug}:{variant}" for variant in self.variants],
            seeds=[0],
            scale="tiny",
            base=base,
            threads=1,
            timed=False,
        )

    def trial(self, job: Job) -> Trial:
        """What came of a job."""
        if job not in self._trials:
            self._trials[job] = self.runner(job, self.info.timeout["tiny"])
        return self._trials[job]

    @property
    def variants(self) -> list[str]:
        """Those that are tried."""
        return list(self.method.variants) if self.thorough else [next(iter(self.method.variants))]

    @cached_property
    def tried(self) -> list[Job]:
        """The jobs that are run, in order."""
        if not self.thorough:
            for number, job in enumerate(self.jobs, start=1):
                if self.trial(job).outcome.status == "ok":
                    return self.jobs[:number]
        return self.jobs

    @cached_property
    def first_ok(self) -> dict[str, Job]:
        """For each variant that ends well anywhere, the first operating point at which it does."""
        first: dict[str, Job] = {}
        for job in self.tried:
            if job.variant not in first and self.trial(job).outcome.status == "ok":
                first[job.variant] = job
        return first

    def timed_jobs(self) -> list[Job]:
        """The first operating point at which each variant ends well, with its workloads timed."""
        return [replace(job, timed=True) for job in self.first_ok.values()]

    def trials(self) -> list[tuple[Job, Trial]]:
        """Every job that is tried, then those that are timed, with what came of them."""
        return [(job, self.trial(job)) for job in [*self.tried, *self.timed_jobs()]]


@dataclass(frozen=True)
class SuiteSubject:
    """A registered suite."""

    registry: Registry
    slug: str

    @property
    def suite(self) -> Suite[Any]:
        return self.registry.suite(self.slug)

    @property
    def info(self) -> SuiteInfo:
        return self.suite.info

    @property
    def files(self) -> list[Path]:
        return sorted(path for path in self.info.folder.rglob("*") if path.suffix in (".py", ".toml", ".md"))
