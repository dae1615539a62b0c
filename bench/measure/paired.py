"""Paired speed: candidate and baseline stepped side by side, in random order, on fresh inputs."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from bench.contract import Step, Workload
from bench.measure.clock import Reading
from bench.measure.side import Side, SideOutOfMemory
from bench.measure.statistics import MIN_PAIRS, ratio_interval
from bench.measure.warm_up import warm_up

__all__ = ["PairedTimes", "go_through", "time_pair"]

_now = time.perf_counter_ns

_CONVERGING_PAIRS = 20
"""Fewest pairs that may end a measurement before its time: a narrow interval of fewer is often narrow by luck. In
simulations the intervals at which a measurement stopped covered 94-98 %."""
_LOOK_GROWTH = 1.25
"""The intervals are looked at when there are this many times the trials of the last look: each look at growing data is
another chance to stop at a lucky moment."""
_UPKEEP = 100
"""Looking at intervals may take one part in this many of the time."""
_DISTURBED = 0.01
"""A pair is disturbed if threads waited for a processor for more than this share of its time, beyond what the clock
takes out."""
_FEWEST_CLEAN = 12
_COUNTABLE = 0.1
"""Processor seconds below which nobody can tell how many processors worked: the system counts those of other threads
with a delay of milliseconds."""
_SHORT_INSPECTION = 1e-4  # seconds that part no pair, however short the step


class Throttle(Protocol):
    """See bench.measure.throttle."""

    def reason(self) -> str | None: ...


@dataclass
class PairedTimes:
    """Seconds of one phase; candidate[i] and baseline[i] ran next to each other. Fields as in the record's Timing.

    warm_up, dropped: pairs that were thrown away, see `time_pair`. waited: share of the wall time that other processes
    took from both sides, and that is not in the times. cores: processor seconds that all threads of the
    candidate took, per one of the thread that calls it (on a busy machine both wait, so wall seconds would hide what
    works beside it); None on CUDA, and where it was too little to tell. unfinished: median of the candidate's on CUDA.
    """

    units: float
    unit: str
    candidate: list[float] = field(default_factory=list)
    baseline: list[float] = field(default_factory=list)
    converged: bool = False
    warm_up: int = 0
    dropped: int = 0
    graph: bool = False
    device_candidate: list[float] | None = None
    device_baseline: list[float] | None = None
    waited: float = 0.0
    cores: float | None = None
    unfinished: float | None = None


def time_pair(
    workload: Workload,
    candidate: Side,
    baseline: Side,
    *,
    seconds: float,
    half_width: float,
    rng: np.random.Generator,
    device: str = "cpu",
    throttle: Throttle | None = None,
    inspect: Callable[[Step, Side], None] | None = None,
) -> dict[str, PairedTimes]:
    """Time `workload` on both and return the paired times by phase.

    Trials are started until `seconds` have passed, or the 95 % interval of every phase's ratio is narrower than
    +-half_width (relative), or workload.max_trials are done; workload.min_trials are done in any case.

    What the clock takes out of each time is said in bench.measure.clock; `waited` sums it up.
    Thrown away and counted as `dropped`: every pair of a trial during which `throttle` gives a reason; pairs during
    which threads waited for a processor and the clock can't tell what that cost, as long as enough others remain; pairs
    whose two sides were parted by an inspection that took longer than the step. Thrown away as `warm_up`: leading
    pairs, while either side had not settled (bench.measure.warm_up), at most half. A series may end up empty: nothing
    could be measured. On CUDA a whole trial of both goes before, without a clock: see `go_through`.

    inspect(step, side) is called for each step of the candidate, after the clock has stopped; it may raise.
    On CUDA the steps that allow it are captured as CUDA graphs too: the series "<phase>-graph".
    """
    session = _Session(workload, candidate, baseline, device, inspect)
    if device.startswith("cuda"):
        for side in (candidate, baseline):
            go_through(workload, side, rng)
    deadline = _now() + int(seconds * 1e9)
    look, look_cost, last_look = 1.0, 0, 0
    for done in range(1, workload.max_trials + 1):
        session.trial(rng, throttle)
        if done < workload.min_trials:
            continue
        now = _now()
        if now > deadline:
            break
        if done >= look and now - last_look > _UPKEEP * look_cost:
            converged = all(series.paired_times(half_width).converged for series in session.series.values())
            look, last_look = done * _LOOK_GROWTH, _now()
            look_cost = last_look - now
            if converged:
                break
    return {phase: series.paired_times(half_width) for phase, series in session.series.items()}


def go_through(workload: Workload, side: Side, rng: np.random.Generator) -> None:
    """A whole trial that nobody times, on inputs of its own. A GPU's libraries build a plan for each shape when they
    first see it: with cuDNN's attention on an H200 that takes 40 ms for every length that a cache grows to, two steps'
    worth, for which whichever side goes first would pay. No other step of a trial warms that up."""
    for step in workload.trial(rng):
        side.load([step])
        side.run()


@dataclass(frozen=True)
class _Pair:
    candidate: Reading
    baseline: Reading

    @property
    def disturbed(self) -> bool:
        return self.candidate.waited + self.baseline.waited > _DISTURBED * (
            self.candidate.seconds + self.baseline.seconds
        )


@dataclass
class _Series:
    """All pairs of a phase."""

    units: float
    unit: str
    graph: bool = False
    dropped: int = 0
    pairs: list[_Pair] = field(default_factory=list)
    _owed: bool | None = None

    def candidate_first(self, rng: np.random.Generator) -> bool:
        """The order of a pair: random, and every second one the other way round than the one before, so that what
        going first costs is the same for both sides."""
        if self._owed is None:
            first = bool(rng.random() < 0.5)
            self._owed = not first
            return first
        first, self._owed = self._owed, None
        return first

    def paired_times(self, half_width: float) -> PairedTimes:
        """What stands after the disturbed pairs and the warm-up are gone."""
        clean = [pair for pair in self.pairs if not pair.disturbed]
        pairs = clean if len(clean) >= _FEWEST_CLEAN else self.pairs
        candidate = [pair.candidate.seconds for pair in pairs]
        baseline = [pair.baseline.seconds for pair in pairs]
        most = min(len(pairs) // 2, max(len(pairs) - MIN_PAIRS, 0)) if len(pairs) >= MIN_PAIRS else len(pairs) // 2
        cut = max(warm_up(candidate, most), warm_up(baseline, most))
        kept = pairs[cut:]
        times = PairedTimes(
            self.units,
            self.unit,
            candidate[cut:],
            baseline[cut:],
            warm_up=cut,
            dropped=self.dropped + len(self.pairs) - len(pairs),
            graph=self.graph,
        )
        seconds = sum(pair.candidate.seconds + pair.baseline.seconds for pair in kept)
        lost = sum(pair.candidate.lost + pair.baseline.lost for pair in kept)
        times.waited = lost / (seconds + lost) if kept else 0.0
        if kept and kept[0].candidate.device is not None:
            times.device_candidate = [pair.candidate.device or 0.0 for pair in kept]
            times.device_baseline = [pair.baseline.device or 0.0 for pair in kept]
            times.unfinished = float(np.median([pair.candidate.unfinished for pair in kept]))
        elif kept:
            busy, calling = (sum(getattr(pair.candidate, name) for pair in kept) for name in ("processor", "thread"))
            times.cores = busy / calling if busy > _COUNTABLE and calling else None
        if len(kept) >= _CONVERGING_PAIRS:
            interval = ratio_interval(times.candidate, times.baseline)
            times.converged = (interval.high - interval.low) / 2 / interval.value <= half_width
        return times


@dataclass
class _Session:
    """One measurement as it goes on: steps both sides through trials and keeps the pairs."""

    workload: Workload
    candidate: Side
    baseline: Side
    device: str
    inspect: Callable[[Step, Side], None] | None
    series: dict[str, _Series] = field(default_factory=dict)
    uncaptured: set[str] = field(default_factory=set)

    def trial(self, rng: np.random.Generator, throttle: Throttle | None) -> None:
        """One trial of both. Its pairs count only if nothing throttled the machine meanwhile."""
        found: list[tuple[_Series, _Pair | None]] = []
        self.candidate.rest()
        self.baseline.rest()
        for step in self.workload.trial(rng):
            series = self._series(step)
            self._load(step)
            found.append((series, self._pair(step, series.candidate_first(rng))))
            if step.graph and self.device.startswith("cuda"):
                found += self._graph_pair(step, rng)
        throttled = throttle is not None and throttle.reason() is not None
        for series, pair in found:
            if throttled or pair is None:
                series.dropped += 1
            else:
                series.pairs.append(pair)

    def _load(self, step: Step, *, graph: bool = False) -> None:
        for side in (self.candidate, self.baseline):
            side.load([step], graph=graph)

    def _pair(self, step: Step, candidate_first: bool) -> _Pair | None:
        """Both sides, loaded with the step, timed next to each other; None if the inspection parted them."""
        if candidate_first:
            mine = self.candidate.run()
            inspected = self._inspect(step)
            theirs = self.baseline.run()
        else:
            inspected = 0.0
            theirs = self.baseline.run()
            mine = self.candidate.run()
            self._inspect(step)
        if inspected > max(mine.seconds, _SHORT_INSPECTION):
            return None
        return _Pair(mine, theirs)

    def _inspect(self, step: Step) -> float:
        """Seconds that it took."""
        if self.inspect is None:
            return 0.0
        start = _now()
        self.inspect(step, self.candidate)
        return (_now() - start) / 1e9

    def _graph_pair(self, step: Step, rng: np.random.Generator) -> Iterator[tuple[_Series, _Pair | None]]:
        """The same step as a CUDA graph, captured when the phase is first seen. Nothing where it can't be."""
        if step.phase in self.uncaptured:
            return
        captured = replace(step, phase=f"{step.phase}-graph")
        try:
            self._load(captured, graph=True)
        except (RuntimeError, SideOutOfMemory) as error:
            logging.getLogger(__name__).warning("no CUDA graph of %r: %s", step.phase, error)
            self.uncaptured.add(step.phase)
            self.series.pop(captured.phase, None)
            return
        series = self._series(captured, graph=True)
        yield series, self._pair(captured, series.candidate_first(rng))

    def _series(self, step: Step, graph: bool = False) -> _Series:
        if step.phase not in self.series:
            self.series[step.phase] = _Series(step.units, self.workload.unit, graph)
        return self.series[step.phase]
