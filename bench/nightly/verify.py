"""Run one record again and say, figure by figure, whether it is reproduced."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from scipy import stats

from bench.analyse.regressions import SENSITIVITY, Run
from bench.contract import Score
from bench.measure.statistics import paired_difference
from bench.nightly.series import Noises, Series, history_of, runs_of
from bench.record.schema import Record, Samples
from bench.registry import Registry, UnknownName
from bench.registry.fields import known_fields
from bench.registry.key import settings_as_stored
from bench.run.plan import Job, Selection, make_plan
from bench.run.runner import Executor, Ready, check_ready, planned, run_one
from bench.run.shipped import plan_again

Outcome = Literal["reproduced", "not reproduced", "not comparable"]
SAME = math.expm1(SENSITIVITY["quality"].smallest)
"""A relative difference of a score that counts as none: another processor rounds in another order."""
ERROR_RATE = 0.05
"""How often a record is called not reproduced that is, all its ratios taken together."""


class NotVerifiable(RuntimeError):
    """The record can't be run again with this code; the message says why and what would help."""


@dataclass(frozen=True)
class Check:
    """One figure of a record against the same figure of the new run. change: relative, of new to old, with an interval
    of what chance allows around none; None where there is none to give.
    """

    figure: str
    kind: str
    outcome: Outcome
    old: float | None = None
    new: float | None = None
    change: float | None = None
    allowed: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class Verification:
    """A record, the new run, and what of it is reproduced."""

    record: Record
    again: Record
    checks: tuple[Check, ...]

    @property
    def outcome(self) -> Outcome:
        """Not reproduced if any figure is not; not comparable if none could be compared."""
        found = {check.outcome for check in self.checks}
        return next((each for each in ("not reproduced", "reproduced") if each in found), "not comparable")


def find_record(records: Sequence[Record], wanted: str) -> Record:
    """The record with this id, or whose id alone begins so. Raises UnknownName."""
    found = {record.id: record for record in records if record.id.startswith(wanted)}
    if wanted in found:
        return found[wanted]
    if len(found) != 1:
        raise UnknownName("record", wanted, list(found) or [record.id for record in records])
    return next(iter(found.values()))


def verify(
    registry: Registry,
    record: Record,
    records: Sequence[Record],
    results: Path,
    *,
    device: str | None = None,
    threads: int | None = None,
    artefact: Path | None = None,
    executor: Executor | None = None,
    ready: Ready = check_ready,
) -> Verification:
    """Run the record's job again and compare. records: history, from which the noise between runs is estimated.
    artefact: folder of what the run made; it is judged as it is then, and not built again. ready: says, by what it
    raises, whether the job can be run here.

    The new record is stored nowhere. Raises NotVerifiable, UnknownName, NoSuchDevice, MissingAsset.
    """
    job = job_of(registry, record, device, threads)
    ready(registry, [job])
    plan = planned(registry, job, results) if artefact is None else plan_again(registry, job, artefact)
    again = run_one(plan, results, timeout=None, executor=executor)
    return Verification(record, again, compare(registry, record, again, records))


def job_of(registry: Registry, record: Record, device: str | None = None, threads: int | None = None) -> Job:
    """The job that makes the record again. Raises NotVerifiable if today's code would make another one."""
    info = registry.suite(record.suite)
    commit = f"; check out commit {record.environment.commit}" if record.environment.commit else ""
    if info.version != record.suite_version:
        raise NotVerifiable(f"it is of {record.suite} {record.suite_version}, this is {info.version}{commit}")
    wanted = Selection(
        suite=record.suite,
        methods=[f"{record.method}:{record.variant}"],
        points=[record.point],
        seeds=[record.seed],
        scale=record.scale,
        base=record.base,
        device=device or ("cuda" if record.environment.gpu else "cpu"),
        threads=threads or record.environment.threads,
        timed=bool(record.timings) or record.status != "ok",
    )
    jobs = make_plan(registry, wanted)
    if not jobs:
        raise NotVerifiable(f"{record.method} is not for {record.point} any more{commit}")
    listed = registry.method(record.suite, record.method)
    today = known_fields(registry.tree, listed, record.variant, record.point)
    then = settings_as_stored(record.hyperparameters)
    if record.hyperparameters and any(then.get(name, value) != value for name, value in today.items()):
        raise NotVerifiable(f"{record.method} had other hyper-parameters then: {record.hyperparameters}{commit}")
    return jobs[0]


def compare(registry: Registry, record: Record, again: Record, records: Sequence[Record]) -> tuple[Check, ...]:
    """Every figure of the record that may be compared with the new run's.

    Bytes, FLOPs and what else is counted must be equal; scores over the same items must be equal but for SAME, or their
    paired difference must hold 0; ratios of times must differ by no more than chance: the errors within both runs and
    what differs between runs. On other hardware times, and a run that did not end well, say nothing.
    """
    same_hardware = record.hardware == again.hardware
    if record.status != "ok" or again.status != "ok":
        alike = record.status == again.status
        comparable = same_hardware or alike
        outcome: Outcome = ("reproduced" if alike else "not reproduced") if comparable else "not comparable"
        return (
            Check("status", "status", outcome, reason=f"{record.status}, now {again.status}: {again.reason or ''}"),
        )
    checks = [_exact(name, value, again.figures.get(name)) for name, value in record.figures.items()]
    checks += [_score(n, s, again.quality.get(n), same_hardware) for n, s in record.quality.items()]
    infos = registry.suites
    noises = Noises(history_of(records, infos))
    old = {s: run for s, run in runs_of(record, infos[record.suite]).items() if s.kind == "speed"}
    new = {s.figure: run for s, run in runs_of(again, infos[record.suite]).items() if s.kind == "speed"}
    limit = float(stats.norm.isf(ERROR_RATE / (2 * max(1, len(old)))))
    for series, run in old.items():
        between = noises.of(series).between
        checks.append(_ratio(series, run, new.get(series.figure), between, limit, same_hardware))
    return tuple(checks)


def _exact(name: str, old: float, new: float | None) -> Check:
    if new is None:
        return Check(name, "exact", "not reproduced", old, reason="it is not there any more")
    outcome: Outcome = "reproduced" if math.isclose(old, new, rel_tol=1e-9) else "not reproduced"
    return Check(name, "exact", outcome, old, new, _relative(old, new), 0.0)


def _score(name: str, old: Samples, new: Samples | None, same_hardware: bool) -> Check:
    if new is None:
        return Check(name, "quality", "not reproduced", reason="it is not there any more")
    if old.aggregate == "max" and not same_hardware:
        return Check(name, "quality", "not comparable", reason="a worst case depends on rounding, other hardware")
    try:
        difference = paired_difference(new, old)
    except ValueError as error:
        return Check(name, "quality", "not reproduced", reason=str(error))
    before, now = _value(old), _value(new)
    change = _relative(before, now)
    same = old.samples == new.samples or abs(change) <= SAME
    holds_none = difference.low < difference.high and difference.low <= 0 <= difference.high
    outcome: Outcome = "reproduced" if same or holds_none else "not reproduced"
    items = sum(a != b for a, b in zip(old.samples, new.samples, strict=True))
    return Check(name, "quality", outcome, before, now, change, SAME, f"{items} of {len(old.samples)} items differ")


def _ratio(series: Series, old: Run, new: Run | None, between: float, limit: float, same_hardware: bool) -> Check:
    if not same_hardware:
        return Check(series.figure, "speed", "not comparable", math.exp(old.value), reason="other hardware")
    if new is None:
        return Check(series.figure, "speed", "not comparable", math.exp(old.value), reason="too few pairs of times now")
    change, error = new.value - old.value, math.sqrt(old.error**2 + new.error**2 + 2 * between**2)
    outcome: Outcome = "reproduced" if abs(change) <= limit * error else "not reproduced"
    values = math.exp(old.value), math.exp(new.value)
    return Check(series.figure, "speed", outcome, *values, math.expm1(change), math.expm1(limit * error))


def _value(samples: Samples) -> float:
    return Score("", samples.samples, samples.weights, samples.aggregate).value


def _relative(old: float, new: float) -> float:
    if old == new:
        return 0.0
    return (new - old) / abs(old) if old and math.isfinite(old) else math.inf
