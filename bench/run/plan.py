"""The plan: suite x method x operating point x seed, and what of it is still to be done. Nothing is imported for it."""

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench import measure
from bench.contract import SCALES
from bench.record.environment import hardware_class, library_versions
from bench.record.schema import Record
from bench.registry import Registry, UnknownName
from bench.registry.key import Run, key_of
from bench.registry.names import split_selection


@dataclass(frozen=True)
class Job:
    """One run to be done. timed: whether the workloads are timed: seeds are there for the quality, a suite may time the
    first few alone. workloads: the only ones that are timed; empty means all. dtype: of the base's weights, where a
    check wants another than the scale's; no record is made of such a run."""

    suite: str
    problem: str
    method: str
    variant: str
    point: str
    scale: str
    base: str
    seed: int
    device: str
    threads: int
    timed: bool = True
    workloads: tuple[str, ...] = ()
    dtype: str = ""

    @property
    def label(self) -> str:
        variant = "" if self.variant == "default" else f":{self.variant}"
        return f"{self.method}{variant} at {self.point}, seed {self.seed}"

    @property
    def command(self) -> str:
        """The command that reproduces the run, as a shell reads it."""
        workloads = [word for name in self.workloads for word in ("--workload", name)]
        return shlex.join(
            [
                *("effbench", "run", "--suite", self.suite, "--method", f"{self.method}:{self.variant}"),
                *("--point", self.point, "--scale", self.scale, "--base", self.base, "--seed", str(self.seed)),
                *("--device", self.device, "--threads", str(self.threads)),
                *(workloads if self.timed else ["--untimed"]),
                "--again",
            ]
        )


@dataclass(frozen=True)
class Selection:
    """What is to be run of a suite. Empty selections mean all; without seeds a method that
    declares itself stochastic gets as many as the suite says, the others seed 0; without timed no speed is measured,
    with workloads that of these alone. methods: slugs, slug:variant, slug@point or slug:variant@point."""

    suite: str
    methods: Sequence[str] = ()
    points: Sequence[str] = ()
    seeds: Sequence[int] = ()
    scale: str = "embedded"
    base: str | None = None
    device: str = "cpu"
    threads: int = 1
    timed: bool = True
    workloads: Sequence[str] = ()


def make_plan(registry: Registry, wanted: Selection) -> list[Job]:
    """Jobs of one suite, point by point, the baseline first; none that a card rules out.

    Raises UnknownName, naming the nearest, for anything that does not exist, and for a method at a point whose problem
    it is not for, where just this was asked for.
    """
    info = registry.suite(wanted.suite)
    if wanted.scale not in SCALES:
        raise UnknownName("scale", wanted.scale, SCALES)
    base = wanted.base or info.bases[wanted.scale][0]
    if wanted.scale != "full" and base not in info.bases[wanted.scale]:  # at full scale any hub id will do
        raise UnknownName(f"base of {wanted.suite} at scale {wanted.scale}", base, info.bases[wanted.scale])
    for name in wanted.workloads:
        if name not in info.workloads:
            raise UnknownName(f"workload of {wanted.suite}", name, info.workloads)
    every_point = [registry.point(wanted.suite, name).name for name in wanted.points] or list(info.points)
    chosen = [
        configuration
        for name in wanted.methods or registry.methods_of(wanted.suite)
        for configuration in _configurations(registry, wanted.suite, name, every_point)
    ]
    places = list(info.points)
    chosen.sort(key=lambda each: (places.index(each[2]), each[0] != info.problem_of(each[2]).baseline))
    jobs = []
    for slug, variant, point in chosen:
        count = info.seeds_of(registry.method(wanted.suite, slug).card)
        for index, seed in enumerate(wanted.seeds or range(count)):
            jobs.append(
                Job(
                    suite=wanted.suite,
                    problem=info.points[point].problem,
                    method=slug,
                    variant=variant,
                    point=point,
                    scale=wanted.scale,
                    base=base,
                    seed=seed,
                    device=wanted.device,
                    threads=wanted.threads,
                    timed=wanted.timed and index < info.timing[wanted.scale].get("seeds", info.seeds),
                    workloads=tuple(wanted.workloads),
                )
            )
    return list(dict.fromkeys(jobs))


def key(registry: Registry, job: Job) -> str:
    """The key that a record of the job has on this machine."""
    run = Run(
        job.suite, job.method, job.variant, job.point, job.scale, job.base, job.seed,
        hardware_class(job.device, job.threads), job.threads, library_versions(registry.suite(job.suite).libraries),
    )  # fmt: skip
    return key_of(registry, run, measure.VERSION)


def outstanding(registry: Registry, jobs: Iterable[Job], records: Iterable[Record]) -> list[Job]:
    """The jobs that no record with today's key answers. A run that was stopped from outside (timeout, out of memory,
    failure) counts as answered: it is a result, and `--again` repeats it."""
    done = {record.key for record in records}
    return [job for job in jobs if key(registry, job) not in done]


def _configurations(registry: Registry, suite: str, name: str, points: Sequence[str]) -> list[tuple[str, str, str]]:
    """Slug, variant and point of every configuration that a selection such as "flap", "flap:no-bias@size-50" names."""
    named_suite, slug, variant, point = split_selection(name)
    if named_suite not in (None, suite):
        raise UnknownName(f"method of suite {suite}", name, registry.methods_of(suite))
    method = registry.method(suite, slug)
    if variant is not None:
        method.settings(variant)
    info = registry.suite(suite)
    if point is not None:
        problem = registry.point(suite, point).problem
        if not method.is_for(problem):
            raise UnknownName(
                f"point of {slug}, which is for {' and '.join(method.card.problems)}",
                point, [each for each in info.points if method.is_for(info.points[each].problem)],
            )  # fmt: skip
        points = [point]
    return [
        (slug, each, place)
        for each in ([variant] if variant else method.variants)
        for place in points
        if method.is_for(info.points[place].problem)
    ]
