"""From plan to records: run what is outstanding; each record is stored as soon as it is there."""

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.contract import MissingAsset, SuiteInfo
from bench.contract.registry import Registry
from bench.record import store
from bench.record.device import device_facts
from bench.record.environment import check_device, collect
from bench.record.schema import Isolation, Outcome, Record
from bench.run import local
from bench.run.plan import Job, key
from bench.run.plausibility import implausible_time
from bench.run.progress import Progress

ROOT = Path(__file__).resolve().parents[2]
Executor = Callable[[Job, float, Sequence[Path]], tuple[Outcome, str]]


@dataclass(frozen=True)
class Planned:
    """A job with what its record needs to know of its method and suite: they may not be imported here. key: of the
    record; info: of the suite."""

    job: Job
    key: str
    info: SuiteInfo


def run_plan(registry: Registry, jobs: Sequence[Job], results: Path, **options: Any) -> list[Record]:
    """Run the jobs that no record answers yet; return the new records. options: those of `run_planned`.

    Checks at the door what would otherwise fail hours later: the device, the assets of every suite, the results folder.
    """
    check_ready(registry, jobs)
    return run_planned([_planned(registry, job) for job in jobs], results, **options)


def run_planned(
    plan: Sequence[Planned],
    results: Path,
    *,
    again: bool = False,
    timeout: float | None = None,
    executor: Executor = local.execute,
    progress: Progress | None = None,
    root: Path = ROOT,
    isolation: Isolation = "none",
) -> list[Record]:
    """As run_plan, where plan and assets are known. A run that was stopped from outside (timeout, out of memory,
    failure) counts as answered: it is a result, and `again`, which runs all, repeats it.

    timeout: seconds per run instead of the suite's. root: the checkout that the methods come from. isolation: what the
    executor keeps them in.
    """
    known = known_records(results)
    answered = set() if again else {record.key for record in known}
    todo = [each for each in plan if each.key not in answered]

    def one_by_one(progress: Progress) -> Iterator[tuple[Job, Record]]:
        for each in todo:
            progress.begin(each.job)
            yield each.job, _run(each, results, timeout=timeout, executor=executor, root=root, isolation=isolation)

    return store_each(
        one_by_one, [each.job for each in todo], results, skipped=len(plan) - len(todo), known=known, progress=progress
    )


def known_records(results: Path) -> list[Record]:
    """What is recorded already. Raises ResultsNotWritable if nothing can be added."""
    store.check_writable(results)
    return store.read_all(results)[0]


def store_each(
    runs: Callable[[Progress], Iterator[tuple[Job, Record]]],
    todo: Sequence[Job],
    results: Path,
    *,
    skipped: int,
    known: Sequence[Record],
    progress: Progress | None = None,
) -> list[Record]:
    """Store each record as soon as `runs` gives it, so that whatever stops it loses no finished run; return them all.

    runs: makes a record for each job of `todo`, in any order. known: earlier ones, to estimate the time that is left.
    """
    progress = progress or Progress()
    committed, _ = store.read_all(ROOT / "results")
    progress.start(todo, skipped=skipped, history=[*committed, *known])
    records = []
    try:
        for job, record in runs(progress):
            store.append(results, record)
            records.append(record)
            progress.end(job, record)
    finally:
        progress.stop()
    return records


def check_ready(registry: Registry, jobs: Sequence[Job]) -> None:
    """Raise NoSuchDevice or MissingAsset if the plan can't run here."""
    for device in {job.device for job in jobs}:
        check_device(device)
    for suite, scale, base in {(job.suite, job.scale, job.base) for job in jobs}:
        missing = registry.suite(suite).missing(scale, base)
        if missing is not None:
            raise MissingAsset(missing)


def run_job(registry: Registry, job: Job, results: Path, *, timeout: float | None, executor: Executor) -> Record:
    """Run one job and make its record. A time that the machine cannot reach makes it failed: implausible."""
    planned = _planned(registry, job)
    return _run(planned, results, timeout=timeout, executor=executor, root=ROOT, isolation="none")


def _planned(registry: Registry, job: Job) -> Planned:
    return Planned(job, key(registry, job), registry.suite(job.suite).info)


def _run(
    planned: Planned, results: Path, *, timeout: float | None, executor: Executor, root: Path, isolation: Isolation
) -> Record:
    job, info = planned.job, planned.info
    environment = collect(job.device, root, threads=job.threads)
    started, clock = datetime.now(UTC), time.monotonic()
    outcome, log = executor(job, timeout or info.timeout[job.scale], [results, ROOT / "results"])
    seconds = time.monotonic() - clock
    environment = environment.model_copy(
        update={"device_after": device_facts(job.device), "isolation": isolation},
    )
    if outcome.status == "ok" and outcome.timings:
        problem = implausible_time(outcome.timings, results, job.device, job.threads)
        if problem is not None:
            outcome.status, outcome.reason = "failed", problem
    return Record(
        id=uuid.uuid4().hex[:16],
        key=planned.key,
        suite=job.suite,
        suite_version=info.version,
        method=job.method,
        variant=job.variant,
        point=job.point,
        scale=job.scale,
        base=job.base,
        seed=job.seed,
        hardware=environment.hardware,
        environment=environment,
        started=started,
        seconds=seconds,
        command=job.command,
        log=log if outcome.status != "ok" else "",
        **{name: getattr(outcome, name) for name in Outcome.model_fields},
    )
