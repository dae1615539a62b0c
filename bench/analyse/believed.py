"""Records are believed for sense: held against their problem, the baseline's record, and the history of the code.

What a record says wrong by itself is found in bench.record.sense.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median

from bench import measure
from bench.analyse.problems import problem_at, same_problem
from bench.measure.ratios import ratio_of
from bench.record.schema import Outcome, Record
from bench.record.sense import contradictions
from bench.registry import ProblemInfo, Registry, SuiteInfo
from bench.registry.key import is_todays

ROUNDING = 0.01
"""Share by which a ratio may differ from what its parts give: the baseline may have run with other libraries."""
BUSY = 5.0
"""Times as long as in its own record a baseline may take beside another: machines of one class differ, and are busy."""


@dataclass(frozen=True)
class Refused:
    """A record, and what is wrong with it."""

    record: Record
    reason: str


def refused(
    new: Sequence[Record], before: Sequence[Record], registry: Registry, history: Collection[str] | None
) -> list[Refused]:
    """Those of the new records that can't be believed, each with the first thing that is wrong with it.

    before: records that are believed already. history: every commit that today's code comes from; None: not known.
    """
    beside = _Beside(registry, {record.id: record for record in before}, history)
    for record in (*before, *new):
        beside.keep(record)
    found = []
    for record in new:
        reason = next(beside.wrong(record), None)
        if reason is not None:
            found.append(Refused(record, reason))
        beside.known.setdefault(record.id, record)
    return found


@dataclass(frozen=True)
class _Beside:
    """What a record is held against. known: records by id. baselines: successful records of the problems' baselines, by
    suite."""

    registry: Registry
    known: dict[str, Record]
    history: Collection[str] | None
    baselines: dict[str, list[Record]] = field(default_factory=dict)

    def keep(self, record: Record) -> None:
        """Hold others against it, if it is a baseline's."""
        info = self.registry.suites.get(record.suite)
        if info is None or record.status != "ok" or record.variant != "default":
            return
        if record.method == problem_at(info, record.point).baseline:
            self.baselines.setdefault(record.suite, []).append(record)

    def wrong(self, record: Record) -> Iterator[str]:
        """What is wrong with a record, a sentence each."""
        taken = self.known.get(record.id)
        if taken is not None and not same(taken, record):
            yield f"id: {record.id} is taken by a record of {taken.method} at {taken.point}"
        commit = record.environment.commit
        if self.history is not None and commit not in self.history:
            yield f"environment.commit: {commit or 'none'} is not in the history of this code, so nobody can repeat it"
        info = self.registry.suites.get(record.suite)
        if info is None or record.point not in info.points:
            yield from contradictions(record)
            return
        yield from against_problem(record, info.problem_of(record.point))
        baseline = self._baseline_of(record, info)
        if baseline is not None:
            yield from against_baseline(record, baseline)

    def _baseline_of(self, record: Record, info: SuiteInfo) -> Record | None:
        """The newest record of today's baseline that sat the same exam, of the same hardware if there is one."""
        found = [
            other
            for other in self.baselines.get(record.suite, ())
            if (other.suite_version, other.scale, other.base) == (record.suite_version, record.scale, record.base)
            and other is not record
            and same_problem(info, other.point, record.point)
            and is_todays(self.registry, other, measure.VERSION)
        ]
        return max(found, key=lambda other: (other.hardware == record.hardware, other.started), default=None)


def same(record: Record, other: Record) -> bool:
    """Whether two records say the same; a key may be made anew where the rule of what it holds is mended."""
    return record is other or record.model_dump_json(exclude={"key"}) == other.model_dump_json(exclude={"key"})


def against_problem(outcome: Outcome, problem: ProblemInfo, *, built: bool = True) -> Iterator[str]:
    """What is wrong with an outcome, a sentence each. built: whether it is of a run that had to build something."""
    yield from contradictions(outcome)
    if outcome.status != "ok":
        return
    if built and outcome.build is None:
        yield "nothing was built, and the status is ok"
    if problem.primary.name not in outcome.quality:
        yield f"the score that ranks, {problem.primary.name}, is missing, and the status is ok"


def against_baseline(outcome: Outcome, baseline: Outcome) -> Iterator[str]:
    """What is wrong with an outcome beside that of the problem's baseline, which sat the same exam."""
    if outcome.status != "ok":
        return
    for name, score in baseline.quality.items():
        if name not in outcome.quality:
            yield f"quality.{name}: the score is missing; the baseline's record has it"
        elif len(outcome.quality[name].samples) != len(score.samples):
            yield (
                f"quality.{name}: {len(outcome.quality[name].samples)} samples; the exam has {len(score.samples)}, by "
                "the baseline's record"
            )
    for name, ratio in outcome.figures.items():
        right = ratio_of(name, outcome.figures.get, baseline.figures)
        if right is not None and abs(ratio - right) > ROUNDING * abs(right):
            yield f"figures.{name}: {ratio:.6g}; by the baseline's record it is {right:.6g}"
    if isinstance(outcome, Record) and isinstance(baseline, Record) and outcome.hardware == baseline.hardware:
        yield from _times_against(outcome, baseline)


def _times_against(record: Record, baseline: Record) -> Iterator[str]:
    for workload, phases in record.timings.items():
        for phase, timing in phases.items():
            own = baseline.timings.get(workload, {}).get(phase)
            if own is None or not (own.candidate and timing.baseline):
                continue
            there, here = median(own.candidate), median(timing.baseline)
            if not there / BUSY <= here <= there * BUSY:
                yield (
                    f"timings.{workload}.{phase}: the baseline took {here:.3g} s beside it, and {there:.3g} s in its "
                    "own record"
                )
