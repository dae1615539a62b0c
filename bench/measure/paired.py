"""Paired speed: candidate and baseline stepped side by side in one process, in random order, on fresh inputs."""

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch

from bench.contract import Workload
from bench.measure.statistics import ratio_interval


@dataclass
class PairedTimes:
    """Seconds per step of one phase; candidate[i] and baseline[i] ran next to each other."""

    units: float
    unit: str
    candidate: list[float] = field(default_factory=list)
    baseline: list[float] = field(default_factory=list)
    converged: bool = False
    warm_up: int = 0
    dropped: int = 0


def time_pair(
    workload: Workload,
    candidate: Any,
    baseline: Any,
    *,
    seconds: float,
    half_width: float,
    rng: np.random.Generator,
    device: str = "cpu",
) -> dict[str, PairedTimes]:
    """Time `workload` on both and return the paired times by phase.

    Trials are started until `seconds` have passed, or the 95 % interval of every phase's ratio is narrower than
    +-half_width (relative), or workload.max_trials are done; workload.min_trials are done in any case. The first
    step of each phase is warm-up and dropped, once there are others.
    Raises ValueError if the two do not yield the same phases.
    """
    times: dict[str, PairedTimes] = {}
    deadline = time.perf_counter() + seconds
    collecting = gc.isenabled()
    gc.disable()
    try:
        for done in range(1, workload.max_trials + 1):
            _one_trial(workload, candidate, baseline, times, rng, device)
            gc.collect()
            for phase in times.values():
                phase.converged = _half_width(phase) <= half_width
            if done < workload.min_trials:
                continue
            if time.perf_counter() > deadline or all(phase.converged for phase in times.values()):
                break
    finally:
        if collecting:
            gc.enable()
    return times


def _one_trial(
    workload: Workload,
    candidate: Any,
    baseline: Any,
    times: dict[str, PairedTimes],
    rng: np.random.Generator,
    device: str,
) -> None:
    seed = int(rng.integers(2**62))  # both see the same inputs
    pairs = zip(
        workload.trial(candidate, np.random.default_rng(seed)),
        workload.trial(baseline, np.random.default_rng(seed)),
        strict=True,
    )
    order = np.random.default_rng(int(rng.integers(2**62)))
    for mine, theirs in pairs:
        if (mine.phase, mine.units) != (theirs.phase, theirs.units):
            raise ValueError(f"workload {workload.name}: candidate is at {mine.phase!r}, baseline at {theirs.phase!r}")
        if order.random() < 0.5:
            first = clock(partial(mine.run, *mine.inputs), device)
            second = clock(partial(theirs.run, *theirs.inputs), device)
        else:
            second = clock(partial(theirs.run, *theirs.inputs), device)
            first = clock(partial(mine.run, *mine.inputs), device)
        phase = times.setdefault(mine.phase, PairedTimes(mine.units, workload.unit))
        phase.candidate.append(first)
        phase.baseline.append(second)
        if phase.warm_up == 0 and len(phase.candidate) == 2:  # the very first step of a phase pays for warming up
            phase.candidate.pop(0)
            phase.baseline.pop(0)
            phase.warm_up = 1


def clock(run: Callable[[], Any], device: str) -> float:
    """Wall seconds of one call, with the device idle at both ends."""
    cuda = device.startswith("cuda")
    if cuda:
        torch.cuda.synchronize(device)
    start = time.perf_counter_ns()
    result = run()
    if cuda:
        torch.cuda.synchronize(device)
    elapsed = time.perf_counter_ns() - start
    del result  # kept until the clock has stopped: freeing is not part of the work
    return elapsed / 1e9


def _half_width(times: PairedTimes) -> float:
    interval = ratio_interval(times.candidate, times.baseline)
    return (interval.high - interval.low) / 2 / interval.value
