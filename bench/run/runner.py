"""From plan to records: run what is outstanding; each record is stored as soon as it is there."""

import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

from bench.analyse.believed import against_baseline, against_problem
from bench.analyse.problems import same_problem
from bench.contract import MissingAsset
from bench.contract.cache import MADE_AGAIN, check_cache
from bench.record import store
from bench.record.claims import claimed
from bench.record.device import device_facts
from bench.record.environment import check_device, collect, library_versions, no_commit
from bench.record.schema import Isolation, Outcome, Record
from bench.registry import Registry, SuiteInfo
from bench.registry.key import baseline_key
from bench.run import artefact
from bench.run.local import LocalExecutor
from bench.run.order import Made, Order
from bench.run.plan import Job, key
from bench.run.plausibility import implausible_time
from bench.run.progress import Progress

ROOT = Path(__file__).resolve().parents[2]
AGAIN_AFTER_KILLED = 2
"""Runs of a job that somebody outside has ended, before the record says so."""


class Executor(Protocol):
    """Runs an order somewhere."""

    isolation: Isolation

    def execute(self, order: Order, timeout: float, preload: Sequence[str] = ()) -> tuple[Outcome, str]: ...


Ready = Callable[[Registry, Sequence[Job]], None]
"""Raises NoSuchDevice or MissingAsset where jobs can't be run."""


@dataclass(frozen=True)
class Planned:
    """A job with all that is needed to run it. key: of the record. order: for the parties. baseline_keys: of records of
    the problem's baseline here, at any point with the same exam."""

    job: Job
    key: str
    info: SuiteInfo
    order: Order
    baseline_keys: frozenset[str] = frozenset()


def planned(registry: Registry, job: Job, *protected: Path) -> Planned:
    """All there is to know of a job. Runs no method's file. protected: folders of records beside the committed."""
    info = registry.suite(job.suite)
    problem = info.problem_of(job.point)
    method = registry.method(job.suite, job.method)
    baseline = registry.method(job.suite, problem.baseline)
    point = info.points[job.point].at(job.scale)
    device = job.device.partition(":")[0]
    versions = library_versions(info.libraries)
    where = [artefact.FORMAT, job.scale, job.base, device, versions, point.settings, *filter(None, [job.dtype])]
    order = Order.of(
        info,
        problem,
        Made.of(method, job.variant, job.point),
        Made.of(baseline, "default", None),
        baseline_key=baseline_key(registry, info, problem, where),
        point=point,
        scale=job.scale,
        base=job.base,
        seed=job.seed,
        device=job.device,
        threads=job.threads,
        timed=job.timed,
        workloads=job.workloads,
        dtype=job.dtype,
        timing=dict(info.timing[job.scale]),
        realised=method.card.speed_realised,
        protected=tuple(str(path) for path in (*protected, ROOT / "results")),
    )
    of_the_baseline = replace(job, method=problem.baseline, variant="default", seed=0)
    alike = [name for name in info.points if same_problem(info, name, job.point)]
    keys = frozenset(key(registry, replace(of_the_baseline, point=name)) for name in alike)
    return Planned(job, key(registry, job), info, order, keys)


def run_plan(registry: Registry, jobs: Sequence[Job], results: Path, **options: Any) -> list[Record]:
    """Run the jobs that no record answers yet; return the new records. options: those of `run_planned`.

    Checks at the door what would otherwise fail hours later: the device, the assets of every suite, the results folder.
    """
    check_ready(registry, jobs)
    return run_planned([planned(registry, job, results.resolve()) for job in jobs], results, **options)


def run_planned(
    plan: Sequence[Planned],
    results: Path,
    *,
    again: bool = False,
    with_times: bool = False,
    timeout: float | None = None,
    seconds: float | None = None,
    clock: Callable[[], float] = time.monotonic,
    executor: Executor | None = None,
    progress: Progress | None = None,
    root: Path = ROOT,
) -> list[Record]:
    """As run_plan, where plan and assets are known. A run that failed, or was stopped for its own sake, counts as
    answered: it is a result, and `again`, which runs all, repeats it. Other runners in the same folder share the work:
    what one of them runs, or has run meanwhile, is left to it.

    with_times: a record without times answers no run that is timed. timeout: seconds per run instead of the suite's.
    seconds: by the clock, after which no other run begins. root: the checkout that the methods come from.
    """
    known = known_records(results)
    end = None if seconds is None else clock() + seconds
    answered = {
        (record.key, timed)
        for record in known
        for timed in (False, True)
        if store.answers(record, timed and with_times)
    }
    todo = [each for each in plan if again or (each.key, each.job.timed) not in answered]
    own = LocalExecutor() if executor is None else None
    if todo and (reason := no_commit(root)) is not None:
        print(f"the records will name no commit: {reason}", file=sys.stderr)

    def one_by_one(progress: Progress) -> Iterator[tuple[Job, Record | None]]:
        for each in todo:
            if end is not None and clock() >= end:
                return
            timed = with_times and each.job.timed
            with claimed(results, each.key) as mine:
                if not mine or (
                    not again and store.is_answered(results, each.info.slug, each.job.method, each.key, timed)
                ):
                    yield each.job, None
                    continue
                progress.begin(each.job)
                yield each.job, run_one(each, results, timeout=timeout, executor=executor or own, root=root)

    try:
        return store_each(
            one_by_one, [each.job for each in todo], results, skipped=len(plan) - len(todo), known=known,
            progress=progress,
        )  # fmt: skip
    finally:
        if own is not None:
            own.close()


def known_records(results: Path) -> list[Record]:
    """What is recorded already. Raises ResultsNotWritable if nothing can be added."""
    store.check_writable(results)
    records, broken = store.read_all(results)
    for line in broken:
        print(f"broken record {line}", file=sys.stderr)
    return records


def store_each(
    runs: Callable[[Progress], Iterator[tuple[Job, Record | None]]],
    todo: Sequence[Job],
    results: Path,
    *,
    skipped: int,
    known: Sequence[Record],
    progress: Progress | None = None,
) -> list[Record]:
    """Store each record as soon as `runs` gives it, so that whatever stops it loses no finished run; return them all.

    runs: makes a record for each job of `todo`, in any order, None for one that somebody else has done. known: earlier
    ones, to estimate the time that is left.
    """
    progress = progress or Progress()
    committed, _ = store.read_all(ROOT / "results")
    progress.start(todo, skipped=skipped, history=[*committed, *known])
    records = []
    try:
        for job, record in runs(progress):
            if record is not None:
                store.append(results, record)
                records.append(record)
            progress.end(job, record)
    finally:
        progress.stop()
    return records


def check_ready(registry: Registry, jobs: Sequence[Job]) -> None:
    """Raise NoSuchDevice, MissingAsset or CacheNotWritable if the plan can't run here."""
    from bench.registry.registry import load_problem

    check_cache()
    for device in {job.device for job in jobs}:
        check_device(device)
    for suite, problem, scale, base in sorted({(job.suite, job.problem, job.scale, job.base) for job in jobs}):
        missing = load_problem(registry.suite(suite), problem).missing(scale, base)
        if missing is not None:
            raise MissingAsset(missing)


def run_one(
    each: Planned, results: Path, *, timeout: float | None, executor: Executor | None, root: Path = ROOT
) -> Record:
    """Run one job and make its record. A time that the machine cannot reach makes it failed: implausible."""
    if executor is None:
        with LocalExecutor() as own:
            return run_one(each, results, timeout=timeout, executor=own, root=root)
    for left in reversed(range(AGAIN_AFTER_KILLED + 1)):
        record = _run(each, results, timeout=timeout, executor=executor, root=root)
        if not (record.disturbed and record.status == "failed" and left):
            break
        print(f"{each.job.label}: {record.reason}; it is run again", file=sys.stderr)
    return record


def _run(each: Planned, results: Path, *, timeout: float | None, executor: Executor, root: Path) -> Record:
    job, info = each.job, each.info
    environment = collect(job.device, root, threads=job.threads, libraries=info.libraries)
    started, clock = datetime.now(UTC), time.monotonic()
    outcome, log = executor.execute(each.order, timeout or info.timeout[job.scale], info.preload)
    seconds = time.monotonic() - clock
    for line in log.splitlines():
        if line.endswith(MADE_AGAIN):
            print(line, file=sys.stderr)
    if outcome.status != "ok":  # for want of room, it may be, that others have taken
        store.check_room(Path(tempfile.gettempdir()), "temporary folder", "choose another with TMPDIR")
    environment = environment.model_copy(
        update={"device_after": device_facts(job.device), "isolation": executor.isolation},
    )
    if outcome.status == "ok":
        problem = _nonsense(outcome, each, results) or implausible_time(
            outcome.timings, results, job.device, job.threads
        )
        if problem is not None:
            outcome.status, outcome.reason = "failed", problem
    return Record(
        id=uuid.uuid4().hex[:16],
        key=each.key,
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


def _nonsense(outcome: Outcome, each: Planned, results: Path) -> str | None:
    """What of an outcome can't be, or None."""
    problem = each.info.problem_of(each.job.point)
    found = against_problem(outcome, problem, built=not each.order.made)
    baseline = _baseline_record(each, problem.baseline, results)
    return next(found if baseline is None else chain(found, against_baseline(outcome, baseline)), None)


def _baseline_record(each: Planned, slug: str, results: Path) -> Record | None:
    """The newest one with today's exam, on this machine."""
    found = [
        record
        for root in {results.resolve(), ROOT / "results"}
        for record in store.read_method(root, each.info.slug, slug)
        if record.status == "ok" and record.key in each.baseline_keys
    ]
    return max(found, key=lambda record: record.started, default=None)
