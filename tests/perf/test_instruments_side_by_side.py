"""Our paired instrument beside what people use, on the same work of known cost ratio, for the same measuring time.

    python tests/perf/test_instruments_side_by_side.py --seconds 0.5 --repeats 100

Two tables, quiet and with two busy processes beside it. For each tool: how often its interval of the ratio says that
equal things differ (false alarms), how often the interval holds the true ratio (coverage), how wide it is.

The peers time one side after the other and report each side by itself, so the ratio's interval is what a user would
form from what they report, both ways: "mean" from mean, standard deviation and count (Student), "median" from median,
interquartile range and count (the standard error of a median that box plots draw, McGill, Tukey and Larsen, 1978).
Each side gets half of the time. Ours is asked for `--seconds`, and the others, in random order, get the time that it
really took (on a busy machine it finishes its least number of pairs). Garbage collection is off for all. Ours is tried
in this process, as the others are, and between two servers, as a run has it (their start is in its seconds).
optimum-benchmark is left out where it is not installed (pip install optimum-benchmark).
"""

import argparse
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from itertools import cycle
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from pytest_benchmark.utils import NameWrapper
from scipy import stats
from torch.utils.benchmark import Timer

from bench.measure.known import RATIOS, KnownWork, known_chains
from bench.measure.paired import time_pair
from bench.measure.selfcheck import Sides, sides_here
from bench.measure.side import quiet_collector
from bench.measure.statistics import ratio_interval, share_interval
from bench.run.selfcheck_sides import served_sides

Interval = tuple[float, float]
Call = Callable[[], object]

OURS, SERVED = "effbench", "effbench, two servers"

(WORKLOAD,) = KnownWork().workloads("cpu")

_BUSY = """
import os, random, sys, time
draw, parent = random.Random(int(sys.argv[1])), os.getppid()
while os.getppid() == parent:
    end = time.perf_counter() + draw.expovariate(1 / 0.03)
    while time.perf_counter() < end:
        sum(range(500))
    time.sleep(draw.expovariate(1 / 0.03))
"""


@dataclass
class Pair:
    """Both sides of a comparison, for our instrument and as plain calls on inputs that change from call to call."""

    ratio: float

    def __post_init__(self) -> None:
        self.candidate, self.baseline = known_chains(self.ratio)

    def calls(self) -> tuple[Call, Call]:
        rng = np.random.default_rng(0)
        inputs = cycle([torch.from_numpy(next(WORKLOAD.trial(rng)).inputs[0]) for _ in range(16)])
        return lambda: self.candidate(next(inputs)), lambda: self.baseline(next(inputs))


@dataclass
class Side:
    """What a tool reports of one side: seconds per call."""

    mean: float
    deviation: float
    median: float
    iqr: float
    n: int


def ours(sides: Sides) -> "Tool":
    def compare(pair: Pair, seconds: float, rng: np.random.Generator) -> dict[str, Interval]:
        with sides(pair.ratio) as (candidate, baseline):
            times = time_pair(WORKLOAD, candidate, baseline, seconds=seconds, half_width=0, rng=rng)["chain"]
        estimate = ratio_interval(times.candidate, times.baseline)
        return {OURS if sides is sides_here else SERVED: (estimate.low, estimate.high)}

    return compare


def torch_timer(call: Call, seconds: float) -> Side:
    found = Timer("call()", globals={"call": call}).blocked_autorange(min_run_time=seconds)
    if len(found.times) < 2:
        return Side(found.mean, math.inf, found.median, math.inf, 1)
    return Side(found.mean, float(np.std(found.times, ddof=1)), found.median, found.iqr, len(found.times))


def pytest_benchmark(call: Call, seconds: float) -> Side:
    kept: list[SimpleNamespace] = []
    fixture = BenchmarkFixture(
        SimpleNamespace(name="call", nodeid="call"),
        disable_gc=True,
        timer=NameWrapper(time.perf_counter),
        min_rounds=5,
        min_time=0.000005,
        max_time=seconds,
        precision=None,
        confidence=None,
        warmup=False,
        warmup_iterations=0,
        calibration_precision=10,
        add_stats=kept.append,
        logger=SimpleNamespace(debug=lambda *_, **__: None),
        warner=None,
        disabled=False,
        cprofile=False,
        cprofile_loops=None,
        cprofile_dump=None,
    )
    fixture(call)
    found = kept[0].stats
    return Side(found.mean, found.stddev, found.median, found.iqr, found.rounds)


def optimum_benchmark(call: Call, seconds: float) -> Side:
    """As its inference scenario: 10 warm-up calls, then the tracker's session until the time is up."""
    from optimum_benchmark.trackers.latency import LatencySessionTracker

    tracker = LatencySessionTracker(device="cpu", backend="pytorch")
    for _ in range(10):
        call()
    with tracker.session():
        while tracker.elapsed() < seconds or tracker.count() < 10:
            with tracker.track():
                call()
    found = tracker.get_latency()
    low, high = np.percentile(found.values, [25, 75])
    return Side(float(found.mean), float(found.stdev), float(found.p50), float(high - low), found.count)


def of_sides(name: str, measure: Callable[[Call, float], Side]) -> "Tool":
    def compare(pair: Pair, seconds: float, rng: np.random.Generator) -> dict[str, Interval]:
        calls = pair.calls()
        order = [0, 1] if rng.random() < 0.5 else [1, 0]
        sides = dict(zip(order, [measure(calls[i], seconds / 2) for i in order], strict=True))
        candidate, baseline = sides[0], sides[1]
        by_mean = _ratio(candidate.mean, baseline.mean, *(s.deviation / math.sqrt(s.n) for s in (candidate, baseline)))
        by_median = _ratio(
            candidate.median, baseline.median, *(1.25 * s.iqr / 1.35 / math.sqrt(s.n) for s in (candidate, baseline))
        )
        freedom = max(1, candidate.n + baseline.n - 2)
        return {f"{name}, mean": by_mean(freedom), f"{name}, median": by_median(freedom)}

    return compare


def _ratio(a: float, b: float, error_a: float, error_b: float) -> Callable[[int], Interval]:
    """The interval of a / b on the log scale."""

    def interval(freedom: int) -> Interval:
        half = float(stats.t.ppf(0.975, freedom)) * math.hypot(error_a / a, error_b / b)
        return a / b * math.exp(-half), a / b * math.exp(half)

    return interval


Tool = Callable[[Pair, float, np.random.Generator], dict[str, Interval]]


def tools(served: Sides | None) -> dict[str, Tool]:
    found: dict[str, Tool] = {
        OURS: ours(sides_here),
        **({} if served is None else {SERVED: ours(served)}),
        "torch Timer": of_sides("torch Timer", torch_timer),
        "pytest-benchmark": of_sides("pytest-benchmark", pytest_benchmark),
    }
    if find_spec("optimum_benchmark") is None:
        return found
    import_module("optimum_benchmark.trackers.latency")  # now, so that no measurement pays for it
    return found | {"optimum-benchmark": of_sides("optimum-benchmark", optimum_benchmark)}


@dataclass
class Tally:
    """Intervals that a tool gave, with the true ratios, and the wall seconds of each comparison."""

    ratios: list[float] = field(default_factory=list)
    intervals: list[Interval] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def row(self) -> str:
        holds = [low <= ratio <= high for ratio, (low, high) in zip(self.ratios, self.intervals, strict=True)]
        equal = [held for ratio, held in zip(self.ratios, holds, strict=True) if ratio == 1.0]
        widths = [(high - low) / (high + low) if math.isfinite(high) else math.inf for low, high in self.intervals]
        alarms, coverage = share_interval(len(equal) - sum(equal), len(equal)), share_interval(sum(holds), len(holds))
        return (
            f"{alarms.value:>8.1%} ({alarms.low:.1%}-{alarms.high:.1%}){coverage.value:>9.1%} "
            f"({coverage.low:.1%}-{coverage.high:.1%}){np.median(widths):>9.2%}{np.median(self.seconds):>8.2f}"
        )


def compare(
    seconds: float, repeats: int, served: Sides | None = None, seed: int = 0, progress: bool = True
) -> dict[str, Tally]:
    """Equal things `repeats` times, every other ratio a quarter as often, all tools on each. served: makes two servers;
    without it ours is tried in this process alone."""
    rng = np.random.default_rng(seed)
    schedule = [1.0] * repeats + [ratio for ratio in RATIOS if ratio != 1.0] * math.ceil(repeats / 4)
    rng.shuffle(schedule)
    tallies: dict[str, Tally] = {}
    available = tools(served)
    with quiet_collector():
        for done, ratio in enumerate(schedule, start=1):
            pair = Pair(ratio)
            budget = seconds
            for name in (OURS, *rng.permutation([tool for tool in available if tool != OURS])):
                start = time.perf_counter()
                intervals = available[name](pair, budget, rng)
                took = time.perf_counter() - start
                if name == OURS:
                    budget = max(budget, took)
                for way, interval in intervals.items():
                    tally = tallies.setdefault(way, Tally())
                    tally.ratios.append(ratio)
                    tally.intervals.append(interval)
                    tally.seconds.append(took)
            if progress:
                print(f"\r{done} of {len(schedule)}", end="", file=sys.stderr, flush=True)
    return tallies


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Other processes that compute in bursts of random length, 30 ms on average, half of the time."""
    started = [subprocess.Popen([sys.executable, "-c", _BUSY, str(seed)]) for seed in range(processes)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def table(title: str, tallies: dict[str, Tally]) -> str:
    lines = [title, f"{'':<28}{'false alarms':>22}{'coverage':>22}{'+-width':>9}{'s each':>8}"]
    lines += [
        f"{way:<28}{tallies[way].row()}" for way in sorted(tallies, key=lambda way: (not way.startswith(OURS), way))
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=0.5, help="measuring time of each comparison")
    parser.add_argument("--repeats", type=int, default=100, help="comparisons of equal things")
    parser.add_argument("--only", choices=["quiet", "loaded"], help="one table instead of two")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    for name, processes in (("quiet", 0), ("loaded", 2)):
        if options.only in (None, name):
            before = os.getloadavg()[0]
            with busy(processes), served_sides("cpu", 1) as served:
                tallies = compare(options.seconds, options.repeats, served)
            title = (
                f"{name}: {processes} busy processes of ours; load average {before:.1f} before and "
                f"{os.getloadavg()[0]:.1f} at the end, {os.cpu_count()} processors; {options.seconds:g} s a comparison"
            )
            print("\n" + table(title, tallies), flush=True)


def test_every_tool_gives_an_interval() -> None:
    each_gives_intervals(compare(seconds=0.02, repeats=1, progress=False))


@pytest.mark.slow
def test_two_servers_give_an_interval_too() -> None:
    with served_sides("cpu", 1) as served:
        tallies = compare(seconds=0.02, repeats=1, served=served, progress=False)
    assert SERVED in tallies
    each_gives_intervals(tallies)


def each_gives_intervals(tallies: dict[str, Tally]) -> None:
    assert {OURS, "torch Timer, mean", "pytest-benchmark, median"} <= set(tallies)
    for tally in tallies.values():
        assert sorted(tally.ratios) == sorted(RATIOS)
        assert all(0 <= low < high for low, high in tally.intervals)


if __name__ == "__main__":
    main()
