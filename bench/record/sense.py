"""Records are believed for sense, not for shape: what each field allows but no run can have given."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from bench.record.schema import Outcome, Record

_CLOCKS_APART = timedelta(minutes=10)


def contradictions(record: Outcome) -> Iterator[str]:
    """What is wrong with an outcome or a record by itself, a sentence each."""
    if record.status != "ok" and not (record.reason or "").strip():
        yield f"status {record.status} without a reason"
    for name, score in record.quality.items():
        if not score.samples:
            yield f"quality.{name}: no samples"
        if score.weights is not None and len(score.weights) != len(score.samples):
            yield f"quality.{name}: {len(score.weights)} weights for {len(score.samples)} samples"
        if record.status == "ok" and any(math.isnan(each) for each in score.samples):
            yield f"quality.{name}: not a number among the samples of a run with status ok"
    for name, value in record.figures.items():
        if math.isnan(value) or (value < 0 and name.endswith(("bytes", "flops", "seconds", "_ratio"))):
            yield f"figures.{name}: {value} can't be"
    for workload, phases in record.timings.items():
        for phase, timing in phases.items():
            if len(timing.candidate) != len(timing.baseline):
                yield f"timings.{workload}.{phase}: {len(timing.candidate)} times beside {len(timing.baseline)}"
            if any(not 0 < each < math.inf for each in (*timing.candidate, *timing.baseline)):
                yield f"timings.{workload}.{phase}: a time that is not above zero"
    if isinstance(record, Record):
        yield from _of_the_record(record)


def _of_the_record(record: Record) -> Iterator[str]:
    if record.started.tzinfo is None:
        yield "started: no time zone, so that it can't be put in order"
    elif record.started > datetime.now(UTC) + _CLOCKS_APART:
        yield f"started: {record.started:%Y-%m-%d %H:%M} is in the future"
    if not 0 <= record.seconds < math.inf:
        yield f"seconds: {record.seconds} can't be"
    if record.build is not None and not 0 <= record.build.seconds < math.inf:
        yield f"build.seconds: {record.build.seconds} can't be"
