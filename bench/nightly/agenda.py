"""What to run tonight, most valuable first.

1. probe: the baseline of each suite against itself: it tells whether the machine moved.
2. code: the method, its problem, what suite.toml says of it, or the instruments changed since its last record.
3. new: it was never run here; in the order of bench.run.wanted.
4. dependency: a library that can change results has another version than at its last record.
5. oldest: nothing changed; the longest not run comes first, so that everything is run again some time.

In each, what was timed and worked comes before what failed. What does not fit into the time that is left is passed over
for what does; how long a run takes is the median of its runs so far, else of its suite.
"""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.analyse.rows import Board
from bench.nightly.series import Configuration, configuration_of
from bench.nightly.sources import Sources
from bench.record.environment import hardware_class, library_versions
from bench.record.schema import Record
from bench.registry import Registry
from bench.run.plan import Job, key
from bench.run.wanted import claimed, value

REASONS = ("probe", "code", "new", "dependency", "oldest")
UNKNOWN_SECONDS = 30.0
_SETTLED = ("unsupported", "over_budget")  # as long as nothing changed, the answer would be the same


@dataclass(frozen=True)
class Item:
    """A job, why it is due, how long it may take (seconds), its newest record, and its place among the wanted."""

    job: Job
    reason: str
    seconds: float
    newest: Record | None
    place: tuple[int, ...] = ()


def agenda(registry: Registry, jobs: Sequence[Job], records: Iterable[Record], root: Path) -> list[Item]:
    """The jobs, most valuable first. root: the checkout, whose history tells what changed."""
    mine: dict[Configuration, list[Record]] = defaultdict(list)
    of_suite: dict[tuple[str, str], list[float]] = defaultdict(list)
    for record in sorted(records, key=lambda record: record.started):
        mine[configuration_of(record)].append(record)
        if record.status == "ok":
            of_suite[record.suite, record.scale].append(record.seconds)
    items = []
    sources = Sources(registry, root)
    spoken = {suite: claimed(registry, suite) for suite in {job.suite for job in jobs}}
    probed: set[str] = set()
    for job in jobs:
        known = mine.get(configuration_of_job(registry, job), [])
        newest = known[-1] if known else None
        reason = _reason(registry, job, newest, sources)
        baseline = job.method == registry.suite(job.suite).problem_of(job.point).baseline
        if baseline and job.suite not in probed and (newest is None or newest.status == "ok"):
            probed.add(job.suite)
            reason = "probe"
        if reason == "oldest" and newest is not None and newest.status in _SETTLED:
            continue
        spent = [record.seconds for record in known[-5:]] or of_suite[job.suite, job.scale]
        place = value(registry.suite(job.suite), spoken[job.suite], job)
        items.append(Item(job, reason, statistics.median(spent) if spent else UNKNOWN_SECONDS, newest, place))
    return sorted(items, key=_value)


def configuration_of_job(registry: Registry, job: Job) -> Configuration:
    """The configuration that a run of the job belongs to."""
    version = registry.suite(job.suite).version
    hardware = hardware_class(job.device, job.threads)
    board = Board(job.suite, version, hardware, job.scale, job.base, job.point)
    return Configuration(board, job.method, job.variant, job.seed)


def _reason(registry: Registry, job: Job, newest: Record | None, sources: Sources) -> str:
    if newest is None:
        return "new"
    if newest.key == key(registry, job):
        return "oldest"
    versions = library_versions(registry.suite(job.suite).libraries)
    if all(newest.environment.versions.get(name) == version for name, version in versions.items()):
        return "code"
    return "dependency" if sources.same_code(job, newest.environment.commit) else "code"


def _value(item: Item) -> tuple[int, bool, float, tuple[int, ...], float]:
    failed = item.newest is not None and item.newest.status != "ok"
    age = item.newest.started.timestamp() if item.newest else 0.0
    return REASONS.index(item.reason), failed, age, item.place, item.seconds
