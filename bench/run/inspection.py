"""What a timed step gave, looked at by the judge: it was done when the step returned, it is right, it was not kept from
before, and the stamps are those of the call."""

import hashlib
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from bench.contract import Step, Workload
from bench.measure.paired import PairedTimes
from bench.measure.side import Side
from bench.run.rules import CLOCK, COUNTED, REMEMBERED, TOO_MANY_CORES, UNFINISHED, WRONG, RuleBroken
from bench.run.servers import Served

_KEPT = 3
_SETTLE_SECONDS = 0.05
_STREAM_SECONDS = 2e-4
"""To find a device idle takes some microseconds."""
_REPLAY_SHARE = 1 / 3
_REPLAY_TRIES = 3
_MESSAGE_SECONDS, _MESSAGE_SHARE = 2e-3, 0.05
"""What a message there and back takes at the most on a quiet machine, and what of a call a busy one adds to it;
medians."""
_MESSAGE_FACTOR = 2
"""How many times as slow as the baseline's server the candidate's may be to answer."""
_FEWEST_STAMPS = 5
_AT_ONCE_SECONDS, _AT_ONCE_STEPS, _AT_ONCE_FACTOR = 0.02, 1000, 1.5
_ROUNDING = 0.05
"""Of a result's size: half precision in another order, a kernel that is chosen otherwise under the count."""


class Inspector:
    """Looks at the candidate's results as they are timed; give `look` to the instrument and call `finish` after.

    A few steps of each phase, drawn so that each is equally likely (reservoir sampling), are watched for late writes
    and kept for `finish`, which lets the problem check them.
    """

    def __init__(self, rng: np.random.Generator, served: Served) -> None:
        self._rng, self._served = rng, served
        self._seen: dict[str, int] = {}
        self._kept: dict[str, list[tuple[Step, Any]]] = {}

    def look(self, step: Step, side: Side) -> None:
        """Raise RuleBroken if the result is not plain, or changes after the step has returned."""
        seen = self._seen[step.phase] = self._seen.get(step.phase, 0) + 1
        place = seen - 1 if seen <= _KEPT else int(self._rng.integers(seen))
        if place >= _KEPT:
            return
        result = side.result()
        before = _digest(result)
        time.sleep(_SETTLE_SECONDS)
        if _digest(side.result()) != before:
            raise RuleBroken(UNFINISHED, f"the result of {step.phase!r} was still being written")
        kept = self._kept.setdefault(step.phase, [])
        kept[place : place + 1] = [(step, result)]

    def finish(self) -> None:
        """Raise RuleBroken if two of a phase's kept results are wrong; one may be rounding gone astray."""
        for phase, kept in self._kept.items():
            wrong: list[str] = []
            for step, result in kept:
                found = None if step.check is None else step.check(result, self._served.remote)  # type: ignore[arg-type]
                if found is None and not wrong:
                    break
                wrong += [found] if found is not None else []
            if wrong and len(wrong) >= min(2, len(kept)):
                raise RuleBroken(WRONG, f"{phase!r}: {wrong[0]}")
        self._kept.clear()


def check_counted(side: Side) -> None:
    """Raise RuleBroken where the step that has just been counted gives something else when nobody counts."""
    counted = side.result()
    side.run()
    apart = _apart(counted, side.result())
    if not apart <= _ROUNDING:  # so that not-a-number is apart
        raise RuleBroken(COUNTED, f"what it gives is {apart:.2g} of its size away from what it gives uncounted")


Seen = Sequence[tuple[float, float, float]]
"""Of the calls of a server: seconds around the call by the judge's clock, by the server's, and that the server's thread
and the judge's own waited for a processor."""


def message_seconds(plain: Seen) -> float:
    """What a message there and back may take. plain: calls of the baseline's server at the same time, in which no line
    of a method runs; where the machine is so busy that its messages are slow, the candidate's may be as well."""
    return max(_MESSAGE_SECONDS, _MESSAGE_FACTOR * _gap(plain)) if len(plain) >= _FEWEST_STAMPS else _MESSAGE_SECONDS


def _gap(seen: Seen) -> float:
    """Median seconds of a call that are neither the server's work nor its waiting."""
    outside, inside, waited = (np.array(column) for column in zip(*seen, strict=True))
    return float(np.median(outside - inside - np.minimum(waited, outside - inside)))


def check_stamps(seen: Seen, plain: Seen) -> None:
    """Raise RuleBroken where the stamps of a candidate's server are not those of its calls. plain: see
    `message_seconds`."""
    if len(seen) < _FEWEST_STAMPS:
        return
    outside, inside, _ = (np.array(column) for column in zip(*seen, strict=True))
    allowed = message_seconds(plain) + _MESSAGE_SHARE * float(np.median(outside))
    if _gap(seen) > allowed or float(np.median(inside - outside)) > 0:
        raise RuleBroken(
            CLOCK,
            f"its stamps say {np.median(inside):.3g} s of calls that took {np.median(outside):.3g} s from outside",
        )


def check_at_once(
    workload: Workload,
    side: Side,
    seen: Seen,
    plain: Seen,
    times: Mapping[str, PairedTimes],
    rng: np.random.Generator,
) -> None:
    """Raise RuleBroken where whole trials, done in one go, take longer than the stamps of their steps say: messages
    hide nothing then, however short the steps are. plain: see `message_seconds`."""
    typical = {phase: float(np.median(series.candidate)) for phase, series in times.items() if series.candidate}
    for _ in range(_REPLAY_TRIES):
        steps: list[Step] = []
        stamped = 0.0
        while stamped < _AT_ONCE_SECONDS and len(steps) < _AT_ONCE_STEPS:
            for step in workload.trial(np.random.default_rng(int(rng.integers(2**62)))):
                steps.append(step)
                stamped += typical.get(step.phase, math.inf)
        side.load(steps)
        side.run()
        outside, _, waited = seen[-1]
        took = outside - min(waited, outside)
        if took <= _AT_ONCE_FACTOR * stamped + message_seconds(plain):
            return
    raise RuleBroken(CLOCK, f"its stamps say {stamped:.3g} s of {len(steps)} steps that took {took:.3g} s in one go")


def check_cores(times: Mapping[str, PairedTimes], threads: int) -> None:
    """Raise RuleBroken if the candidate used more processors than the run's threads."""
    for phase, series in times.items():
        if series.cores is not None and series.cores > threads + 0.5:
            raise RuleBroken(
                TOO_MANY_CORES, f"{series.cores:.1f} processors were busy during {phase!r}, the run has {threads}"
            )


def check_streams(times: Mapping[str, PairedTimes]) -> None:
    """Raise RuleBroken if the device worked on after the stream that the step ran on was done. Whoever waits for that
    stream alone, as CUDA events do, reads unfinished results."""
    for phase, series in times.items():
        if series.unfinished is not None and series.unfinished > _STREAM_SECONDS:
            raise RuleBroken(UNFINISHED, f"{phase!r} left other streams working for {series.unfinished:.2g} s")


def check_batch(workload: Workload, size: int, side: Side, rng: np.random.Generator) -> None:
    """Raise RuleBroken if what is said at the best batch is wrong: work may be dropped where only throughput looks."""
    assert workload.at_batch is not None
    for step in workload.at_batch(size).trial(np.random.default_rng(int(rng.integers(2**62)))):
        side.load([step])
        side.run()
        if wrong := side.check(step):
            raise RuleBroken(WRONG, f"at a batch of {size}: {wrong}")


def check_replay(
    workload: Workload, side: Side, times: Mapping[str, PairedTimes], seed: int, rng: np.random.Generator
) -> None:
    """Raise RuleBroken if inputs that the candidate has seen are answered much faster than fresh ones.

    seed: of a trial that the candidate went through before. A suspicion is held against fresh inputs at the same
    moment, three times over: the machine may have been slower when the others were timed.
    """
    for phase, series in times.items():
        if series.graph:
            continue
        fresh = float(np.median(series.candidate)) if series.candidate else 0.0
        for _ in range(_REPLAY_TRIES):
            again = _first_time(workload, side, phase, seed)
            if again >= fresh * _REPLAY_SHARE:
                break
            fresh = _first_time(workload, side, phase, int(rng.integers(2**62)))
        else:
            raise RuleBroken(
                REMEMBERED, f"{phase!r} takes {again:.2g} s on inputs seen before, {fresh:.2g} s on fresh ones"
            )


def _first_time(workload: Workload, side: Side, phase: str, seed: int) -> float:
    """Seconds of the first step of a phase in the trial with this seed; infinity if the trial has none."""
    for step in workload.trial(np.random.default_rng(seed)):
        side.load([step])
        seconds = side.run().seconds
        if step.phase == phase:
            return seconds
    return math.inf


def _apart(one: Any, other: Any) -> float:
    """Root of the squared difference of two results' numbers, of their size; infinity where their shapes differ."""
    mine, theirs = ([np.asarray(leaf, dtype=float) for leaf in _leaves(each) if not isinstance(leaf, str)]
                    for each in (one, other))  # fmt: skip
    if [leaf.shape for leaf in mine] != [leaf.shape for leaf in theirs]:
        return math.inf
    size = difference = 0.0
    for a, b in zip(mine, theirs, strict=True):
        unequal = a != b  # infinities may be equal
        difference += float(np.square(a[unequal] - b[unequal]).sum())
        size += float(np.square(b[np.isfinite(b)]).sum())
    return math.sqrt(difference / size) if size else math.sqrt(difference)


def _digest(result: Any) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for leaf in _leaves(result):
        digest.update(leaf.tobytes() if isinstance(leaf, np.ndarray) else repr(leaf).encode())
    return digest.hexdigest()


def _leaves(result: Any) -> Iterator[Any]:
    if isinstance(result, dict):
        for value in result.values():
            yield from _leaves(value)
    elif isinstance(result, list | tuple):
        for value in result:
            yield from _leaves(value)
    else:
        yield result
