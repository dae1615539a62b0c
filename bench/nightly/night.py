"""One night: run what is due, judge it against history, measure again what looks changed, find out why."""

import math
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from bench.analyse.regressions import Change, State, follow, step
from bench.nightly.agenda import Item, agenda
from bench.nightly.causes import Cause, Facts, cause_of, different_machine, different_versions, needs_experiment
from bench.nightly.past import NoPast, measure_past
from bench.nightly.series import Configuration, History, Noises, Series, configuration_of, history_of, runs_of
from bench.nightly.sources import Sources
from bench.record import store
from bench.record.schema import Record
from bench.registry import Registry
from bench.run.local import LocalExecutor
from bench.run.plan import Job
from bench.run.runner import ROOT, Executor, Ready, check_ready, planned, run_one

MOST_RUNS = 16
"""Most runs of one configuration in a night."""
PAST_RUNS = 3
"""Runs of the old code, where only they can tell whether it was ours."""
_SHARED = 1 / 3  # of the other methods that were measured
_SHIFT = 0.05  # of the baseline's own times, at least, and beyond what its nights differ by


@dataclass(frozen=True)
class Finding:
    """A confirmed change of one figure, or of a status. before, after: the last record of the old level, the first that
    showed the new one. change: None for a status."""

    configuration: Configuration
    figure: str
    worse: bool
    change: Change | None
    before: Record
    after: Record
    cause: Cause = "unknown"
    reason: str = ""

    @property
    def regression(self) -> bool:
        """Whether the night fails for it: worse, and not by the machine."""
        return self.worse and self.cause != "the machine"


@dataclass
class Night:
    """What came of a night. open: suspected or too noisy to tell when the time was up, and why. left: not run."""

    records: list[Record] = field(default_factory=list)
    reasons: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    open: list[tuple[Series, Change | None, str]] = field(default_factory=list)
    left: list[Item] = field(default_factory=list)
    shifts: dict[str, float] = field(default_factory=dict)
    watched: int = 0
    seconds: float = 0.0

    @property
    def regressions(self) -> list[Finding]:
        """The confirmed ones, for which the command fails."""
        return [finding for finding in self.findings if finding.regression]


def run_night(
    registry: Registry,
    jobs: Sequence[Job],
    results: Path,
    *,
    seconds: float,
    executor: Executor | None = None,
    ready: Ready = check_ready,
    confined: bool = False,
    root: Path = ROOT,
    clock: Callable[[], float] = time.monotonic,
    tell: Callable[[str], None] = lambda line: None,
) -> Night:
    """Run a night of at most so many seconds (a run that does not fit any more is not begun) and judge it.

    ready: says before any work, by what it raises, whether the jobs can be run here. confined: earlier code, too, is
    run in a sandbox. Raises what `ready` and `store.check_writable` raise, before any work.
    """
    ready(registry, jobs)
    store.check_writable(results)
    known, broken = store.read_all(results)
    for line in broken:
        tell(f"broken record {line}")
    watch, started = _Watch(registry, known), clock()
    night = Night(watched=watch.watched, left=agenda(registry, jobs, known, root))

    def left() -> float:
        return seconds - (clock() - started)

    def measure(job: Job, executor: Executor) -> Record:
        record = run_one(planned(registry, job, results), results, timeout=None, executor=executor, root=root)
        store.append(results, record)
        return record

    with LocalExecutor() as own:
        _run(night, watch, partial(measure, executor=executor or own), left, tell)
    night.open = watch.open()
    night.shifts = baseline_shifts(known, night.records)
    sources = Sources(registry, root)
    again = partial(measure_past, root, confined=confined)
    night.findings = [_explained(finding, watch, night, sources, jobs, left, again) for finding in watch.findings]
    night.seconds = clock() - started
    return night


def _run(
    night: Night,
    watch: "_Watch",
    measure: Callable[[Job], Record],
    left: Callable[[], float],
    tell: Callable[[str], None],
) -> None:
    """Run what is left of the night's agenda, and again what has to be, as long as there is time."""
    again: list[Item] = []
    runs: dict[Job, int] = defaultdict(int)
    last: Job | None = None
    while True:
        item = _next(again, night.left, left(), last)
        if item is None:
            return
        last = item.job
        first = runs[item.job] == 0
        tell(f"{item.job.label}: {item.reason if first else f'again, run {runs[item.job] + 1}'}")
        record = measure(item.job)
        night.records.append(record)
        runs[item.job] += 1
        if first:
            night.reasons[item.reason] = night.reasons.get(item.reason, 0) + 1
        if watch.add(record) and runs[item.job] < MOST_RUNS:
            again.append(item)


def _next(again: list[Item], todo: list[Item], left: float, last: Job | None) -> Item | None:
    """Take the next item that fits. What is measured again goes first, but never twice in a row while there is
    something else: a neighbour's busy minute must not confirm itself."""
    fresh = next((item for item in todo if item.seconds <= left), None)
    repeat = next((item for item in again if item.seconds <= left and (item.job != last or fresh is None)), None)
    if repeat is not None:
        again.remove(repeat)
        return repeat
    if fresh is not None:
        todo.remove(fresh)
    return fresh


class _Watch:
    """All series with where they stand, and the last record of each configuration."""

    def __init__(self, registry: Registry, known: Sequence[Record]) -> None:
        self.infos = registry.suites
        history: History = history_of(known, self.infos)
        self.noises = Noises(history)
        self._states = {series: follow(runs, self.noises.of(series)) for series, runs in history.items()}
        self._of: dict[Configuration, dict[Series, State]] = defaultdict(dict)
        self._records: dict[Configuration, list[Record]] = defaultdict(list)
        for record in known:
            self._records[configuration_of(record)].append(record)
        self._failing: set[Configuration] = set()
        self.findings: list[Finding] = []
        self.measured: set[Configuration] = set()

    def add(self, record: Record) -> bool:
        """Judge a record of tonight; whether it should be measured again."""
        where = configuration_of(record)
        self.measured.add(where)
        wanted = self._status(where, record)
        self._records[where].append(record)
        for series, run in runs_of(record, self.infos[record.suite]).items():
            state = step(self._states.get(series, State()), run, self.noises.of(series))
            self._states[series] = self._of[where][series] = state
            if state.verdict in ("worse", "better") and state.change is not None:
                before = self._last_good(where, state.change.since)
                worse = state.verdict == "worse"
                self.findings.append(Finding(where, series.figure, worse, state.change, before, record))
        return wanted or any(state.verdict in ("unclear", "suspected") for state in self._of[where].values())

    @property
    def watched(self) -> int:
        """How many figures have a history."""
        return len(self._states)

    def open(self) -> list[tuple[Series, Change | None, str]]:
        """What was suspected, or too noisy to tell, when the night ended."""
        return [
            (series, state.change, state.verdict)
            for states in self._of.values()
            for series, state in states.items()
            if state.verdict in ("unclear", "suspected")
        ]

    def _last_good(self, where: Configuration, since: float) -> Record:
        """The last record that worked before a change."""
        good = (r for r in reversed(self._records[where]) if r.status == "ok" and r.started.timestamp() < since)
        return next(good)

    def _status(self, where: Configuration, record: Record) -> bool:
        """A run that worked and fails now is tried once more before it is told."""
        ok = record.status == "ok"
        tried = where in self._failing
        before = [r for r in self._records[where] if not (tried and r is self._records[where][-1])]
        self._failing.discard(where)
        if not before or (before[-1].status == "ok") == ok:
            return False
        if not ok and not tried:
            self._failing.add(where)
            return True
        self.findings.append(Finding(where, "status", not ok, None, before[-1], record))
        return False


def _explained(
    finding: Finding,
    watch: _Watch,
    night: Night,
    sources: Sources,
    jobs: Sequence[Job],
    left: Callable[[], float],
    past: Callable[[str, Job, int, float], list[Record]],
) -> Finding:
    """The finding with its cause."""
    where = finding.configuration
    job = next(job for job in jobs if _is_of(job, where))
    before, after = finding.before.environment, finding.after.environment
    baselines = sources.registry.baselines(where.board.suite)
    probes = {f.configuration.board.suite for f in watch.findings if f.configuration.method in baselines}
    facts = Facts(
        files=sources.changed_files(job, before.commit),
        versions=different_versions(before, after),
        machine=different_machine(before, after),
        shared=_shared(finding, watch),
        probe=where.board.suite in probes and where.method not in baselines,
        shift=_shift_of(finding, night.shifts),
    )
    if finding.change is not None and finding.worse and needs_experiment(facts) and not before.dirty and before.commit:
        facts = _with_experiment(finding, facts, watch, job, past, left)
    cause, reason = cause_of(facts)
    return replace(finding, cause=cause, reason=reason)


def _with_experiment(
    finding: Finding,
    facts: Facts,
    watch: _Watch,
    job: Job,
    past: Callable[[str, Job, int, float], list[Record]],
    left: Callable[[], float],
) -> Facts:
    """Facts with what the old code says today; as they are where it can't be asked."""
    each = finding.after.seconds
    if PAST_RUNS * each > left() or finding.before.environment.commit is None:
        return facts
    try:
        then = past(finding.before.environment.commit, job, PAST_RUNS, 3 * each + 60)
    except NoPast:
        return facts
    values = [
        run.value
        for record in then
        for series, run in runs_of(record, watch.infos[record.suite]).items()
        if series.figure == finding.figure
    ]
    if not values:
        return facts
    assert finding.change is not None, "a status has no value to compare"
    good = statistics.median(values) < finding.change.level + finding.change.change / 2
    return replace(facts, old_code_is_good=good)


def _is_of(job: Job, where: Configuration) -> bool:
    board = where.board
    mine = (job.suite, job.scale, job.base, job.point, job.method, job.variant, job.seed)
    return mine == (board.suite, board.scale, board.base, board.point, where.method, where.variant, where.seed)


def _shared(finding: Finding, watch: _Watch) -> bool:
    """Whether a good part of the other methods, two at least, changed in the same direction tonight."""
    mine, suite = finding.configuration.method, finding.configuration.board.suite
    others = {where.method for where in watch.measured if where.method != mine and where.board.suite == suite}
    moved = {
        other.configuration.method
        for other in watch.findings
        if other.worse == finding.worse and other.configuration.method in others
    }
    return len(moved) >= max(2, _SHARED * len(others))


def _shift_of(finding: Finding, shifts: Mapping[str, float]) -> float | None:
    """The shift of the baseline's time in the same phase, for a time."""
    return shifts.get(f"{finding.configuration.board.suite} {finding.figure.removesuffix('.ratio')}")


def baseline_shifts(known: Sequence[Record], tonight: Sequence[Record]) -> dict[str, float]:
    """By suite and phase, how much longer (as a fraction) the baseline's own steps take tonight than in the records
    before; only where that is more than _SHIFT and more than three times what those differ by among themselves."""
    old, new = _baseline_times(known), _baseline_times(tonight)
    shifts = {}
    for name in old.keys() & new.keys():
        level = statistics.median(old[name])
        spread = 1.4826 * statistics.median(abs(value - level) for value in old[name])
        shift = statistics.median(new[name]) - level
        if len(old[name]) > 2 and abs(shift) > max(_SHIFT, 3 * spread):
            shifts[name[-1]] = math.expm1(shift)
    return shifts


def _baseline_times(records: Sequence[Record]) -> dict[tuple[str, ...], list[float]]:
    """Logarithms of the median baseline time of each record, by hardware, scale, base, point's suite and phase."""
    found: dict[tuple[str, ...], list[float]] = defaultdict(list)
    for record in records:
        for workload, phases in record.timings.items():
            for phase, timing in phases.items():
                if timing.baseline:
                    name = f"{record.suite} {workload}.{phase}"
                    place = (record.hardware, record.scale, record.base, record.point, name)
                    found[place].append(math.log(statistics.median(timing.baseline)))
    return found
