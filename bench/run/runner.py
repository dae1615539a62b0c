"""From plan to records: run what is outstanding, job after job; each record is stored as soon as it is there."""

import time
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.contract import MissingAsset
from bench.contract.registry import Registry
from bench.record import store
from bench.record.device import device_facts
from bench.record.environment import check_device, collect
from bench.record.schema import Outcome, Record
from bench.run import local
from bench.run.plan import Job, key, outstanding
from bench.run.plausibility import implausible_time
from bench.run.progress import Progress

ROOT = Path(__file__).resolve().parents[2]
Executor = Callable[[Job, float, Sequence[Path]], tuple[Outcome, str]]


def run_plan(
    registry: Registry,
    jobs: Sequence[Job],
    results: Path,
    *,
    again: bool = False,
    timeout: float | None = None,
    executor: Executor = local.execute,
    progress: Progress | None = None,
) -> list[Record]:
    """Run the jobs that no record answers yet (all of them with `again`); return the new records.

    Checks at the door what would otherwise fail hours later: the device, the assets of every suite, the results
    folder. timeout: seconds per run instead of the suite's.
    """
    check_ready(registry, jobs)
    store.check_writable(results)
    known, _ = store.read_all(results)
    todo = list(jobs) if again else outstanding(registry, jobs, known)
    progress = progress or Progress()
    committed, _ = store.read_all(ROOT / "results")  # for a first estimate of how long it will take
    progress.start(todo, skipped=len(jobs) - len(todo), history=[*committed, *known])
    records = []
    try:
        for job in todo:
            progress.begin(job)
            record = run_job(registry, job, results, timeout=timeout, executor=executor)
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
    info = registry.suite(job.suite).info
    environment = collect(job.device, ROOT, threads=job.threads)
    started, clock = datetime.now(UTC), time.monotonic()
    outcome, log = executor(job, timeout or info.timeout[job.scale], [results, ROOT / "results"])
    seconds = time.monotonic() - clock
    environment = environment.model_copy(update={"device_after": device_facts(job.device)})
    if outcome.status == "ok" and outcome.timings:
        problem = implausible_time(outcome.timings, results, job.device, job.threads)
        if problem is not None:
            outcome.status, outcome.reason = "failed", problem
    return Record(
        id=uuid.uuid4().hex[:16],
        key=key(registry, job),
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
