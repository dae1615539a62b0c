"""Throughput: the best batch under a memory limit, searched for each side by itself; then both paired, each at its own.

The search doubles the batch until the throughput stops growing, the memory limit is near, or memory or time run out;
then it tries sizes between the best and its neighbours. The best batch is the smallest one that is as good as any.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any

import numpy as np

from bench.contract import Step, Workload
from bench.measure.paired import Throttle, time_pair
from bench.measure.side import Side, SideOutOfMemory
from bench.record.schema import Batch, Throughput

GROWTH = 1.05
"""A doubling that raises the best throughput by less than this factor has not made it grow..."""
PATIENCE = 2
"""...and after so many of them in a row it has stopped growing. One is not enough: kernels change with the batch."""
AS_GOOD = 0.98
"""A batch that reaches this share of the best throughput is as good."""
SAFETY = 1.1
"""A predicted peak is taken this much higher: caches and workspaces grow in steps."""
BATCH_SECONDS = 0.5
"""Trials of one batch are repeated for so long, the best counts: whatever disturbs a trial makes it slower."""
LARGEST_BATCH = 2**20
_PHASE = "throughput"
_now = perf_counter


def measure_throughput(
    workload: Workload,
    candidate: Side,
    baseline: Side,
    *,
    memory_limit_bytes: float | None = None,
    seconds: float,
    rng: np.random.Generator,
    device: str = "cpu",
    half_width: float = 0.01,
    throttle: Throttle | None = None,
) -> Throughput | None:
    """Best batch of both sides within the limit and paired times there, each side at its own batch.

    memory_limit_bytes: of what a model and its work on a batch may take; what the device has, if that is less or
    nothing is given. Both sides must find place beside each other, so each may count on half of what is free.
    seconds: for each of the two searches, and for the paired times. Other arguments as of `time_pair`.
    None: the workload has no `at_batch`, or not even one of a side fits.
    """
    if workload.at_batch is None:
        return None
    room = max(candidate.held_bytes(), baseline.held_bytes()) + candidate.free_bytes() / 2
    limit = room if memory_limit_bytes is None else min(memory_limit_bytes, room)
    ours = _search(workload, candidate, limit, seconds, rng)
    theirs = _search(workload, baseline, limit, seconds, rng)
    if not (ours.units and theirs.units):
        return None
    sizes = best(ours.batches), best(theirs.batches)
    times = time_pair(
        replace(workload, trial=lambda rng: iter([Step(_PHASE, "")]), at_batch=None),
        _AtBatch(candidate, workload, sizes[0], rng),
        _AtBatch(baseline, workload, sizes[1], rng),
        seconds=seconds,
        half_width=half_width,
        rng=rng,
        device=device,
        throttle=throttle,
    )[_PHASE]
    return Throughput(
        unit=workload.unit,
        memory_limit_bytes=limit,
        candidate_batch=sizes[0],
        baseline_batch=sizes[1],
        candidate=[seconds / ours.units[sizes[0]] for seconds in times.candidate],
        baseline=[seconds / theirs.units[sizes[1]] for seconds in times.baseline],
        candidate_tried=ours.batches,
        baseline_tried=theirs.batches,
    )


@dataclass
class _AtBatch:
    """A side that runs a whole trial of its own batch in place of each step: candidate and baseline do the same work in
    another shape."""

    side: Side
    workload: Workload
    size: int
    rng: np.random.Generator

    def __getattr__(self, name: str) -> Any:
        return getattr(self.side, name)

    def load(self, steps: Sequence[Step], *, graph: bool = False) -> None:
        self.side.load(_steps(self.workload, self.size, self.rng))


def best(tried: list[Batch]) -> int:
    """The smallest batch that is as good as any. Raises ValueError if none could be run."""
    rates = {batch.batch: batch.per_second for batch in tried if batch.per_second is not None}
    if not rates:
        raise ValueError("no batch could be run")
    return min(size for size, rate in rates.items() if rate >= AS_GOOD * max(rates.values()))


def _search(workload: Workload, side: Side, limit: float, seconds: float, rng: np.random.Generator) -> "_Search":
    """All batch sizes that were tried, smallest first, and the one that was not, with the reason why.

    Peak bytes are those of the model's tensors and what a trial takes above what the process held before. A batch whose
    peak, predicted from those before, would pass the limit or what is free is not begun: on a CPU the system might end
    the process, rather than refuse the memory. No batch is begun after `seconds`; the first one always is.
    """
    search = _Search(workload, side, limit, _now() + seconds, rng)
    search.double()
    search.refine()
    return search


@dataclass
class _Search:
    """tried: batches by size, also those that could not be run. units: of work in one trial, of those that could."""

    workload: Workload
    side: Side
    limit: float
    deadline: float
    rng: np.random.Generator
    tried: dict[int, Batch] = field(default_factory=dict)
    units: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.held = self.side.held_bytes()

    @property
    def batches(self) -> list[Batch]:
        return sorted(self.tried.values(), key=lambda batch: batch.batch)

    def double(self) -> None:
        size, top, idle = 1, 0.0, 0
        while size <= LARGEST_BATCH and idle < PATIENCE:
            batch = self.attempt(size)
            if batch.per_second is None:
                return
            idle = 0 if batch.per_second >= GROWTH * top else idle + 1
            top = max(top, batch.per_second)
            size *= 2

    def refine(self) -> None:
        """Halve the gaps beside the best batch, twice."""
        for _ in range(2):
            sizes = sorted(self.tried)
            rates = {size: self.tried[size].per_second or 0.0 for size in sizes}
            peak = max(sizes, key=lambda size: rates[size])
            place = sizes.index(peak)
            for neighbour in (*sizes[place + 1 : place + 2], *sizes[max(0, place - 1) : place]):
                middle = (peak + neighbour) // 2
                if rates[peak] and middle not in self.tried and self.affordable(middle) is None:
                    self.attempt(middle)

    def attempt(self, size: int) -> Batch:
        """Run a batch, unless it can't be afforded; remembered either way."""
        reason = self.affordable(size)
        batch = Batch(batch=size, reason=reason) if reason else self._run(size)
        self.tried[size] = batch
        return batch

    def affordable(self, size: int) -> str | None:
        """Why this batch is not begun, or None."""
        if not self.tried:
            return None
        if _now() > self.deadline:
            return "not begun: the time was up"
        predicted = SAFETY * self.predicted(size)
        if self.held + predicted > self.limit:
            what = f"the limit of {self.limit / 1e9:.3g} GB"
        elif predicted > (free := self.side.free_bytes()):
            what = f"what the model holds and {free / 1e9:.3g} GB that are free"
        else:
            return None
        return f"not begun: a peak of {(self.held + predicted) / 1e9:.3g} GB is expected, more than {what}"

    def predicted(self, size: int) -> float:
        """Bytes above what the model holds, from the two largest batches below it: on the line through both, or in
        proportion to the larger, whichever is less. The line alone would follow a peak that something else raised."""
        points = [
            (number, batch.peak_bytes - self.held)
            for number, batch in sorted(self.tried.items())
            if batch.peak_bytes and number < size
        ]
        if not points:
            return 0.0
        last, above = points[-1]
        before, lower = points[-2] if len(points) > 1 else (0, 0.0)
        line = above + max(0.0, above - lower) / (last - before) * (size - last)
        return min(line, above * size / last)

    def _run(self, size: int) -> Batch:
        """Trials of one batch. Running out of memory is a result; the side lets go of all that was allocated."""
        units, per_second = 0.0, 0.0
        try:
            if not self.tried:
                self._trial(size)  # the very first pays for warming up, in time and in memory
            self.side.reset_peak()
            begin = _now()
            while not per_second or _now() - begin < BATCH_SECONDS:
                units, taken = self._trial(size)
                per_second = max(per_second, units / taken)
        except SideOutOfMemory as error:
            return Batch(batch=size, reason=f"out of memory: {error}")
        taken_bytes = self.held + self.side.peak_bytes()
        if taken_bytes > self.limit:
            reason = f"its peak of {taken_bytes / 1e9:.3g} GB passes the limit of {self.limit / 1e9:.3g} GB"
            return Batch(batch=size, peak_bytes=taken_bytes, reason=reason)
        self.units[size] = units
        return Batch(batch=size, per_second=per_second, peak_bytes=taken_bytes)

    def _trial(self, size: int) -> tuple[float, float]:
        """(units of work, seconds) of one trial."""
        steps = _steps(self.workload, size, self.rng)
        self.side.load(steps)
        return sum(step.units for step in steps), self.side.run().seconds


def _steps(workload: Workload, size: int, rng: np.random.Generator) -> list[Step]:
    """Of one trial of a batch, to be run in one go."""
    assert workload.at_batch is not None
    return list(workload.at_batch(size).trial(np.random.default_rng(int(rng.integers(2**62)))))
