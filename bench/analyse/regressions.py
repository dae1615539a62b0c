"""Did a figure change? Followed run by run, against the level it had, with confirmation by later runs.

Each figure of each configuration is a series of runs. Runs that follow each other closely are one night. The mean of
the last nights is held against the nights before: a change is *suspected* where they differ by more than chance allows
among all series that are watched, and it is *confirmed* only by runs made afterwards, which had no part in the
suspicion. What the later runs do not show is dismissed. A confirmed change begins a new level, so that it is told once.

Chance has two parts: the error within a run, which its interval tells, and what differs between runs, which no run can
know of itself and which is estimated from history. The second does not become smaller by repeating a run in one night.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, reduce
from itertools import pairwise
from typing import Literal

import numpy as np
from scipy import stats

from bench.measure.statistics import Estimate

Verdict = Literal["first", "steady", "unclear", "suspected", "worse", "better"]
Kind = Literal["speed", "quality", "exact"]

NIGHT_GAP = 6 * 3600.0
"""Runs less than this many seconds after the one before belong to the same night."""
WINDOW = 7
"""Most nights that are averaged to find a small change."""
MEMORY = 60
"""Most nights that make up a level."""
FALSE_SUSPICIONS = 0.05
"""Expected false suspicions a night among all series. Confirmation leaves far fewer: see tests/perf."""
CONFIRMING = 3
"""Fewest later runs that confirm or dismiss a suspicion."""
PATIENCE = 12
"""A suspicion that this many later runs did not confirm is dismissed."""
LARGEST = 50.0
"""Logarithm beyond which a figure is as bad as can be."""
AGREEING = 2 / 3
"""The least share of the later runs that must each show the change."""
_Z95 = float(stats.norm.ppf(0.975))
_CONFIRMED_AT = float(stats.norm.isf(0.0001))
_SURELY = 3.0  # standard errors
_FEW = 10  # differences between neighbouring runs from which the noise is estimated


@dataclass(frozen=True)
class Sensitivity:
    """What a kind of figure is held to, on the log scale. floor: least noise between runs that is believed.
    smallest: lesser changes do not matter. large: a change that must not stay unseen for a night.
    """

    floor: float
    smallest: float
    large: float


SENSITIVITY: dict[Kind, Sensitivity] = {
    "speed": Sensitivity(floor=0.005, smallest=0.01, large=math.log(1.1)),
    "quality": Sensitivity(floor=0.0005, smallest=0.003, large=0.01),
    "exact": Sensitivity(floor=0.00001, smallest=0.0005, large=0.01),
}


@dataclass(frozen=True)
class Run:
    """One measurement of a figure. when: seconds since 1970. value: its logarithm, turned so that more is worse.
    error: standard error within the run, 0 where the figure is exact for it.
    """

    when: float
    value: float
    error: float


def timed(when: float, ratio: Estimate) -> Run:
    """The run of a paired ratio of times, slower is worse. The error of few pairs is itself uncertain: it is widened as
    Student's distribution is wider than the normal one so far out (one in a thousand) as changes are looked for."""
    error = (math.log(ratio.high) - math.log(ratio.low)) / (2 * _Z95) if ratio.low > 0 else math.inf
    return Run(when, math.log(ratio.value), error * _student_factor(ratio.n))


def untimed(when: float, value: float, better: str) -> Run:
    """The run of a score or an exact figure, 0 or more; `better` is "lower" or "higher"."""
    logarithm = max(-LARGEST, min(LARGEST, math.log(value) if value > 0 else -LARGEST))
    return Run(when, -logarithm if better == "higher" else logarithm, 0.0)


@dataclass(frozen=True)
class Noise:
    """What a series is judged with. between: standard deviation between runs, log scale. watched: series in all."""

    kind: Kind
    between: float
    watched: int


@dataclass(frozen=True)
class Change:
    """A change of level. change, low, high: of the logarithm, more is worse, with its 95 % interval. level: the
    logarithm before. nights: of how many of the last ones it is the mean; since: when the first of them began.
    """

    change: float
    low: float
    high: float
    level: float
    nights: int
    since: float

    @property
    def relative(self) -> float:
        """The change as a fraction of the level before: 0.1 is 10 % worse."""
        return math.expm1(min(self.change, 700.0))


@dataclass(frozen=True)
class _Night:
    """Sum of the weights of its runs and of their weighted values. first, last: when these runs were made."""

    first: float
    last: float
    weight: float = 0.0
    total: float = 0.0

    @property
    def mean(self) -> float:
        return self.total / self.weight

    def variance(self, between: float) -> float:
        return between**2 + 1 / self.weight

    def weighted(self, between: float) -> tuple[float, float]:
        """Weight of the night's mean among nights, and the mean times it."""
        weight = 1 / self.variance(between)
        return weight, weight * self.total / self.weight

    def with_run(self, run: Run, between: float) -> "_Night":
        weight = 1 / max(run.error, between) ** 2
        return _Night(self.first, run.when, self.weight + weight, self.total + weight * run.value)


@dataclass(frozen=True)
class _Suspicion:
    """What is suspected, of how many of the last nights; the runs made since, as if they were one night, their number
    and how many of them, each for itself, agree.
    """

    change: float
    nights: int
    since: _Night | None = None
    runs: int = 0
    agree: int = 0


@dataclass(frozen=True)
class State:
    """Where a series stands after a run. verdict: "unclear" and "suspected" ask for another run; "worse" and "better"
    are confirmed changes, told by the run that confirms. change: what is suspected or confirmed, else that of tonight.
    """

    verdict: Verdict = "first"
    change: Change | None = None
    nights: tuple[_Night, ...] = ()
    suspicion: _Suspicion | None = None


def follow(runs: Iterable[Run], noise: Noise) -> State:
    """Where a series stands after all its runs, in the order that they were made."""
    return reduce(lambda state, run: step(state, run, noise), runs, State())


def step(state: State, run: Run, noise: Noise) -> State:
    """Where a series stands after one more run; one without an interval says nothing."""
    if not math.isfinite(run.error):
        return state
    between = noise.between
    nights, suspicion = state.nights, state.suspicion
    if nights and run.when - nights[-1].last < NIGHT_GAP:
        nights = (*nights[:-1], nights[-1].with_run(run, between))
    else:
        nights = (*nights[1 - MEMORY :], _Night(run.when, run.when).with_run(run, between))
        if suspicion is not None:
            suspicion = replace(suspicion, nights=suspicion.nights + 1)
    if len(nights) < 2:
        return State("first", None, nights)
    if suspicion is not None:
        return _tried(nights, suspicion, run, noise)
    found = _largest(nights, between)
    limits = SENSITIVITY[noise.kind]
    if abs(found.change) >= limits.smallest and _z(found) > _suspect_at(noise.watched):
        return State("suspected", found, nights, _Suspicion(found.change, found.nights))
    tonight = _against(nights, 1, between)
    return State("unclear" if _unclear(nights, tonight, noise) else "steady", tonight, nights)


def between_runs(series: Iterable[Sequence[Run]], kind: Kind) -> float:
    """Standard deviation between runs, on the log scale, of series whose figures are measured alike.

    From the differences of neighbouring runs, so that a change of level counts once: the noise that, added to the
    errors within the two runs, leaves four fifths of the differences where four fifths of a normal distribution lie.
    One fifth may be changes and accidents. With few differences it is a guess that later nights replace.
    """
    pairs = [(b.value - a.value, a.error**2 + b.error**2) for runs in series for a, b in pairwise(runs)]
    limits = SENSITIVITY[kind]
    if kind == "exact":
        return limits.floor
    if len(pairs) < _FEW:
        return max(limits.floor, 0.01 if kind == "speed" else 0.001)
    differences, errors = (np.array(column) for column in zip(*pairs, strict=True))
    aim = float(stats.norm.ppf(0.9))

    def too_small(between: float) -> bool:
        spread = np.sqrt(2 * between**2 + errors)
        return float(np.quantile(np.abs(differences) / spread, 0.8)) > aim

    low, high = limits.floor, 1.0
    if not too_small(low):
        return low
    for _ in range(30):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if too_small(middle) else (low, middle)
    return high


def _tried(nights: tuple[_Night, ...], suspicion: _Suspicion, run: Run, noise: Noise) -> State:
    """A suspicion after one more run: confirmed, dismissed, or still open."""
    between = noise.between
    since = (suspicion.since or _Night(run.when, 0.0, 0.0)).with_run(run, between)
    now = _against(nights, min(suspicion.nights, len(nights) - 1), between)
    level, variance = _level(nights[: -now.nights], between)
    sign, smallest = math.copysign(1.0, suspicion.change), SENSITIVITY[noise.kind].smallest
    agree = suspicion.agree + (sign * (run.value - level) > smallest)
    suspicion = replace(suspicion, since=since, runs=suspicion.runs + 1, agree=agree)
    shown, error = sign * (since.mean - level), math.sqrt(since.variance(between) + variance)
    suspected = State("suspected", now, nights, suspicion)
    if suspicion.runs < CONFIRMING:
        return suspected
    if shown > max(_CONFIRMED_AT * error, smallest) and agree >= AGREEING * suspicion.runs:
        return State("worse" if sign > 0 else "better", now, nights[-now.nights :])
    steady = _against(nights, 1, between)
    if shown + 2 * error < abs(suspicion.change) / 2:
        # An accident: what it was seen in must not draw the level its way, or its end would look like a change.
        return State("steady", steady, tuple(night for night in nights if not _between(night, now, since)))
    return State("steady", steady, nights) if suspicion.runs >= PATIENCE else suspected


def _between(night: _Night, suspected: Change, since: _Night) -> bool:
    """Whether a night is among those that raised a suspicion, and not of those that were held against it."""
    return suspected.since <= night.first < since.first


def _unclear(nights: Sequence[_Night], tonight: Change, noise: Noise) -> bool:
    """Whether tonight a large change may hide in the error of the runs, so that another run would tell more."""
    _, variance = _level(nights[:-1], noise.between)
    hidden = tonight.change + _SURELY * _error(tonight) > SENSITIVITY[noise.kind].large
    return hidden and 1 / nights[-1].weight > max(noise.between**2, variance)


def _largest(nights: Sequence[_Night], between: float) -> Change:
    """The split into last nights and those before that differ most, in standard errors."""
    pairs = [night.weighted(between) for night in nights]
    before_weight, before_total = math.fsum(w for w, _ in pairs), math.fsum(t for _, t in pairs)
    best, best_z, weight, total = None, -1.0, 0.0, 0.0
    for last, (w, t) in enumerate(reversed(pairs[1:][-WINDOW:]), 1):
        before_weight, before_total, weight, total = before_weight - w, before_total - t, weight + w, total + t
        change, error = total / weight - before_total / before_weight, math.sqrt(1 / weight + 1 / before_weight)
        if abs(change) / error > best_z:
            best_z = abs(change) / error
            best = _change(change, error, before_total / before_weight, nights[-last:])
    assert best is not None, "needs two nights"
    return best


def _against(nights: Sequence[_Night], last: int, between: float) -> Change:
    """The last nights against those before them."""
    level, variance = _level(nights[:-last], between)
    now, error = _level(nights[-last:], between)
    return _change(now - level, math.sqrt(variance + error), level, nights[-last:])


def _level(nights: Sequence[_Night], between: float) -> tuple[float, float]:
    """Weighted mean of some nights, and its variance."""
    pairs = [night.weighted(between) for night in nights]
    weight = math.fsum(w for w, _ in pairs)
    return math.fsum(t for _, t in pairs) / weight, 1 / weight


def _change(change: float, error: float, level: float, nights: Sequence[_Night]) -> Change:
    return Change(change, change - _Z95 * error, change + _Z95 * error, level, len(nights), nights[0].first)


def _error(change: Change) -> float:
    return (change.high - change.low) / (2 * _Z95)


def _z(change: Change) -> float:
    return abs(change.change) / _error(change)


@cache
def _student_factor(pairs: int) -> float:
    return float(stats.t.isf(0.0005, max(1, pairs - 1)) / stats.norm.isf(0.0005))


@cache
def _suspect_at(watched: int) -> float:
    """Standard errors beyond which a change is suspected, in either direction, in any series, over any window."""
    return float(stats.norm.isf(FALSE_SUSPICIONS / (2 * WINDOW * max(1, watched))))
