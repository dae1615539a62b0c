"""Records are believed for sense, not for shape: what each field allows but no run can have given."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from bench.record.schema import Outcome, Record, Throughput, Timing

_CLOCKS_APART = timedelta(minutes=10)
_OF_THE_BUILD = ("seconds", "processor_seconds", "peak_memory_bytes")
_BEGINNING = datetime(1970, 1, 2, tzinfo=UTC)
"""A clock that nobody has set yet tells an earlier time."""


def contradictions(record: Outcome) -> Iterator[str]:
    """What is wrong with an outcome or a record by itself, a sentence each."""
    if record.status != "ok" and not (record.reason or "").strip():
        yield f"status {record.status} without a reason"
    yield from _of_scores(record)
    yield from _of_figures(record)
    yield from _of_times(record)
    if isinstance(record, Record):
        yield from _of_the_run(record)


def _of_scores(record: Outcome) -> Iterator[str]:
    for name, score in record.quality.items():
        if not score.samples:
            yield f"quality.{name}: no samples"
        if score.weights is not None and len(score.weights) != len(score.samples):
            yield f"quality.{name}: {len(score.weights)} weights for {len(score.samples)} samples"
        if record.status == "ok" and any(math.isnan(each) for each in score.samples):
            yield f"quality.{name}: not a number among the samples of a run with status ok"


def _of_figures(record: Outcome) -> Iterator[str]:
    for name, value in record.figures.items():
        if math.isnan(value) or (value < 0 and name.endswith(("bytes", "flops", "seconds", "_ratio"))):
            yield f"figures.{name}: {value} can't be"
    if record.build is not None:
        yield from _below_zero({f"build.{name}": getattr(record.build, name) or 0.0 for name in _OF_THE_BUILD})


def _of_times(record: Outcome) -> Iterator[str]:
    timed: dict[str, Timing | Throughput] = {f"throughput.{name}": best for name, best in record.throughput.items()}
    for workload, phases in record.timings.items():
        for phase, timing in phases.items():
            timed[f"timings.{workload}.{phase}"] = timing
            if len(timing.candidate) != len(timing.baseline):
                yield f"timings.{workload}.{phase}: {len(timing.candidate)} times beside {len(timing.baseline)}"
    for name, each in timed.items():
        if any(not 0 < time < math.inf for time in (*each.candidate, *each.baseline)):
            yield f"{name}: a time that is not above zero"
    for name, energy in record.energy.items():
        if any(not 0 < joules < math.inf for joules in (*energy.candidate, *energy.baseline)):
            yield f"energy.{name}: joules that are not above zero"


def _of_the_run(record: Record) -> Iterator[str]:
    if record.started.tzinfo is None:
        yield "started: no time zone, so that it can't be put in order"
    elif record.started > datetime.now(UTC) + _CLOCKS_APART:
        yield f"started: {record.started:%Y-%m-%d %H:%M} is in the future"
    elif record.started < _BEGINNING:
        yield f"started: {record.started:%Y-%m-%d %H:%M} was before there was such a record"
    yield from _below_zero({"seconds": record.seconds})


def _below_zero(named: dict[str, float]) -> Iterator[str]:
    for name, value in named.items():
        if not 0 <= value < math.inf:
            yield f"{name}: {value} can't be"
