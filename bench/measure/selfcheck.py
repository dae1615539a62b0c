"""Tries the paired-speed instrument on this machine, on workloads whose cost ratio is known."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from bench.measure.known import RATIOS, KnownWork, ServedChain, known_chains
from bench.measure.paired import time_pair
from bench.measure.side import Side, SideHere
from bench.measure.statistics import Estimate, ratio_interval, share_interval
from bench.measure.throttle import Throttle
from bench.measure.troubles import Machine, Trouble, troubles

MOST_FALSE_ALARMS = 0.05
LEAST_COVERAGE = 0.93
_FOUND = 0.8
"""A difference counts as detectable if it is found in this share of the tries."""


@dataclass(frozen=True)
class Try:
    """One comparison: the true ratio, and what the instrument said of it."""

    ratio: float
    estimate: Estimate
    waited: float

    @property
    def covers(self) -> bool:
        return self.estimate.low <= self.ratio <= self.estimate.high

    @property
    def sees_a_difference(self) -> bool:
        return not self.estimate.low <= 1.0 <= self.estimate.high

    @property
    def reach(self) -> tuple[float, float]:
        """How far the true log ratio would have had to lie above and below 0 for the interval to leave 0 out."""
        truth = math.log(self.ratio)
        low = math.log(self.estimate.low) if self.estimate.low > 0 else -math.inf
        return truth - low, math.log(self.estimate.high) - truth

    @property
    def half_width(self) -> float:
        return (self.estimate.high - self.estimate.low) / 2 / self.estimate.value


@dataclass(frozen=True)
class Row:
    """The tries of one ratio. seen: share of tries that saw a difference from 1."""

    ratio: float
    tries: int
    covered: float
    seen: float
    median_value: float
    median_half_width: float
    pairs: float


@dataclass(frozen=True)
class Report:
    """What `effbench selfcheck` says; rates with their 95 % binomial intervals.

    aa_false_alarm_rate: share of comparisons of equal things whose interval leaves out 1. coverage: share of all
    intervals that hold the true ratio. detectable_difference: relative; four of five measurements of `seconds` find a
    difference of this size. waited: share of the time that other processes took.
    """

    device: str
    threads: int
    seconds: float
    comparisons: int
    aa_false_alarm_rate: float
    aa_false_alarm_interval: tuple[float, float]
    coverage: float
    coverage_interval: tuple[float, float]
    detectable_difference: float
    median_half_width: float
    waited: float
    rows: tuple[Row, ...]
    troubles: tuple[Trouble, ...]

    @property
    def targets_met(self) -> bool:
        """Intervals that are never wrong since they bound nothing do not meet them."""
        bounded = math.isfinite(self.detectable_difference)
        return bounded and self.aa_false_alarm_rate <= MOST_FALSE_ALARMS and self.coverage >= LEAST_COVERAGE

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"targets_met": self.targets_met}


Sides = Callable[[float], AbstractContextManager[tuple[Side, Side]]]
"""Of a ratio: a candidate that does so many times the work of the baseline, and that baseline."""


@contextmanager
def sides_here(ratio: float, device: str = "cpu") -> Iterator[tuple[Side, Side]]:
    """Both in this process."""
    mine, theirs = (ServedChain(chain, device) for chain in known_chains(ratio, device))
    with SideHere(mine, device) as candidate, SideHere(theirs, device) as baseline:
        yield candidate, baseline


def selfcheck(
    sides: Sides,
    *,
    seconds: float,
    repeats: int,
    device: str = "cpu",
    half_width: float = 0.0,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Report:
    """Compare equal things `repeats` times, and each other known ratio a quarter as often, all in random order.

    sides: who is compared. seconds: of each comparison; half_width: where it may stop earlier. progress(done, of) is
    called after each. Threads are torch's: set them before.
    """
    rng = np.random.default_rng(seed)
    schedule = [1.0] * repeats + [ratio for ratio in RATIOS if ratio != 1.0] * math.ceil(repeats / 4)
    rng.shuffle(schedule)
    throttle = _Noting(Throttle(device))
    before = Machine.now(device)
    tries = []
    for done, ratio in enumerate(schedule, start=1):
        tries.append(_try(ratio, sides, seconds, half_width, device, rng, throttle))
        progress(done, len(schedule))
    threads = torch.get_num_threads()
    waited = float(np.mean([each.waited for each in tries]))
    found = troubles(before, Machine.now(device), threads=threads, waited=waited, throttled=throttle.times)
    return _report(tries, device, threads, seconds, tuple(found))


@dataclass
class _Noting:
    """Counts how often there was a reason."""

    throttle: Throttle
    times: int = 0

    def reason(self) -> str | None:
        reason = self.throttle.reason()
        self.times += reason is not None
        return reason


def _try(
    ratio: float,
    sides: Sides,
    seconds: float,
    half_width: float,
    device: str,
    rng: np.random.Generator,
    throttle: _Noting,
) -> Try:
    (workload,) = KnownWork().workloads(device)
    options: dict[str, Any] = {"seconds": seconds, "half_width": half_width, "rng": rng, "device": device}
    with sides(ratio) as (candidate, baseline):
        times = time_pair(workload, candidate, baseline, throttle=throttle, **options)["chain"]
    if not times.candidate:
        return Try(ratio, Estimate(math.nan, 0.0, math.inf, None, 0), times.waited)
    return Try(ratio, ratio_interval(times.candidate, times.baseline), times.waited)


def _report(tries: Sequence[Try], device: str, threads: int, seconds: float, found: tuple[Trouble, ...]) -> Report:
    equal = [each for each in tries if each.ratio == 1.0]
    alarms, covered = sum(each.sees_a_difference for each in equal), sum(each.covers for each in tries)
    alarm_rate, coverage = share_interval(alarms, len(equal)), share_interval(covered, len(tries))
    reach = [side for each in tries for side in each.reach]
    return Report(
        device=device,
        threads=threads,
        seconds=seconds,
        comparisons=len(tries),
        aa_false_alarm_rate=alarm_rate.value,
        aa_false_alarm_interval=(alarm_rate.low, alarm_rate.high),
        coverage=coverage.value,
        coverage_interval=(coverage.low, coverage.high),
        detectable_difference=math.expm1(float(np.quantile(reach, _FOUND, method="higher"))),
        median_half_width=float(np.median([each.half_width for each in tries])),
        waited=float(np.mean([each.waited for each in tries])),
        rows=tuple(_row(ratio, [each for each in tries if each.ratio == ratio]) for ratio in RATIOS),
        troubles=found,
    )


def _row(ratio: float, tries: Sequence[Try]) -> Row:
    return Row(
        ratio,
        len(tries),
        covered=float(np.mean([each.covers for each in tries])),
        seen=float(np.mean([each.sees_a_difference for each in tries])),
        median_value=float(np.median([each.estimate.value for each in tries])),
        median_half_width=float(np.median([each.half_width for each in tries])),
        pairs=float(np.median([each.estimate.n for each in tries])),
    )
