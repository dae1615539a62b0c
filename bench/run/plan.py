"""The plan: suite x method x operating point x seed, and which of it is still to be done."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench import measure
from bench.contract import SCALES, Method
from bench.contract.registry import Registry, UnknownName, configured, hyperparameters, suite_files
from bench.contract.sources import imported, source_hash
from bench.contract.suite import at_scale
from bench.record.environment import hardware_class, library_versions, usable_cores
from bench.record.schema import SCHEMA_VERSION, Record


@dataclass(frozen=True)
class Job:
    """One run to be done."""

    suite: str
    method: str
    variant: str
    point: str
    scale: str
    base: str
    seed: int
    device: str
    threads: int
    modules: tuple[str, ...]
    """What the worker imports to find suite, baseline and method."""
    timed: bool = True
    """Whether the workloads are timed: seeds are there for the quality, a suite may time the first few alone."""
    workloads: tuple[str, ...] = ()
    """The only ones that are timed; empty means all."""

    @property
    def label(self) -> str:
        variant = "" if self.variant == "default" else f":{self.variant}"
        return f"{self.method}{variant} at {self.point}, seed {self.seed}"

    @property
    def command(self) -> str:
        """The command that reproduces the run."""
        timed = "".join(f" --workload {name}" for name in self.workloads) if self.timed else " --untimed"
        return (
            f"effbench run --suite {self.suite} --method {self.method}:{self.variant} --point {self.point} "
            f"--scale {self.scale} --base {self.base} --seed {self.seed} --device {self.device} "
            f"--threads {self.threads}{timed} --again"
        )


def make_plan(
    registry: Registry,
    *,
    suite: str,
    methods: Sequence[str] = (),
    points: Sequence[str] = (),
    seeds: Sequence[int] = (),
    scale: str = "embedded",
    base: str | None = None,
    device: str = "cpu",
    threads: int | None = None,
    timed: bool = True,
    workloads: Sequence[str] = (),
) -> list[Job]:
    """Jobs of one suite, point by point, the baseline first.

    Empty selections mean all; no threads, all cores; without seeds a method that declares itself stochastic gets as
    many as the suite says, the others seed 0; without timed no speed is measured, with workloads that of these alone.
    methods are slugs, slug:variant, slug@point or slug:variant@point. Raises UnknownName, naming the nearest, for
    anything that does not exist.
    """
    info = registry.suite(suite).info
    if scale not in SCALES:
        raise UnknownName("scale", scale, SCALES)
    known_bases = info.bases[scale]
    if base is None:
        base = known_bases[0]
    elif scale != "full" and base not in known_bases:  # at full scale any hub id will do
        raise UnknownName(f"base of {suite} at scale {scale}", base, known_bases)
    # What a run costs besides its workloads stands under these two names: see bench.analyse.summary.
    known_workloads = {name.split(".")[0] for name in info.costs if "." in name} - {"build", "memory"}
    for name in workloads:
        if name not in known_workloads:
            raise UnknownName(f"workload of {suite}", name, known_workloads)
    every_point = [registry.point(suite, name).name for name in points] or list(info.points)
    chosen = [
        (point, slug, variant)
        for name in methods or registry.methods_of(suite)
        for slug, variant, point in _configurations(registry, suite, name, every_point)
    ]
    chosen.sort(key=lambda choice: (list(info.points).index(choice[0]), choice[1] != info.baseline))

    def modules(slug: str) -> tuple[str, ...]:
        parts = (registry.suite(suite), registry.method(info.baseline), registry.method(slug))
        return tuple(dict.fromkeys(part.__module__ for part in parts))

    jobs = []
    for point, slug, variant in chosen:
        default = range(info.seeds if registry.method(slug).card.stochastic else 1)
        for index, seed in enumerate(seeds or default):
            timed_seed = index < info.timing[scale].get("seeds", info.seeds)
            jobs.append(
                Job(
                    suite, slug, variant, point, scale, base, seed, device,
                    threads or usable_cores(), modules(slug), timed and timed_seed,
                    tuple(workloads),
                )
            )  # fmt: skip
    return list(dict.fromkeys(jobs))


def method_of(registry: Registry, job: Job) -> Method[Any]:
    """The method that a job runs, with its settings."""
    return configured(registry.method(job.method), job.variant, job.point)


def key(registry: Registry, job: Job) -> str:
    """Hash of everything that goes into a run, words about it apart: a record with another key is stale."""
    suite = registry.suite(job.suite)
    method = registry.method(job.method)
    point = suite.info.points[job.point].at(job.scale)
    inputs = {
        "schema": SCHEMA_VERSION,
        "instruments": measure.VERSION,
        "suite": source_hash(suite_files(suite)),
        "suite_settings": [
            suite.info.version,
            suite.info.baseline,
            at_scale(suite.info.settings, job.scale),
            suite.info.timing[job.scale],
        ],
        "point": [point.limits.result, point.limits.build_seconds, point.limits.build_memory_bytes],
        "point_settings": [point.limits.supplies, point.settings],
        "method": source_hash(imported([method.__module__])),
        "hyperparameters": hyperparameters(method_of(registry, job)),
        "job": {name: value for name, value in asdict(job).items() if name not in ("timed", "workloads")},
        "hardware": hardware_class(job.device, job.threads),
        "versions": library_versions(),
    }
    return hashlib.sha256(json.dumps(inputs, sort_keys=True, default=repr).encode()).hexdigest()[:32]


def outstanding(registry: Registry, jobs: Iterable[Job], records: Iterable[Record]) -> list[Job]:
    """The jobs that no record with today's key answers. A run that was stopped from outside (timeout, out of memory,
    failure) counts as answered: it is a result, and `--again` repeats it."""
    done = {record.key for record in records}
    return [job for job in jobs if key(registry, job) not in done]


def _configurations(registry: Registry, suite: str, name: str, points: Sequence[str]) -> list[tuple[str, str, str]]:
    """Slug, variant and point of every configuration that a selection such as "flap", "flap:no-bias@size-50" names."""
    name, _, point = name.partition("@")
    slug, _, variant = name.partition(":")
    method = registry.methods_of(suite).get(slug)
    if method is None:
        registry.method(slug)  # says so, with the nearest, if it does not exist at all
        other = registry.method(slug).card.suite
        raise UnknownName(f"method of suite {suite} (it belongs to {other})", slug, registry.methods_of(suite))
    if variant:
        configured(method, variant)
    if point:
        points = [registry.point(suite, point).name]
    return [(slug, each, place) for each in ([variant] if variant else method.variants) for place in points]
