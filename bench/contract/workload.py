"""What is timed. A problem describes the steps as calls of what it serves; bench.measure times them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from bench.contract.served import Served


@dataclass(frozen=True)
class Step:
    """One timed call.

    phase: name of the series that its time belongs to (e.g. "ttft", "tpot"). call: the public method of `Served` that
    does the work; it returns plain tensors, arrays or numbers, which the instrument waits for. inputs: what it is
    given, plain data. units: how many units of work it does (tokens, systems), for throughput. graph: the result hangs
    on these inputs alone, their shapes never change and nothing waits for the host, so that the call may also be
    captured as a CUDA graph. check: of a result and what is served: says what is wrong with the result, or None. It
    finds the right one in another way: as the scores are found, or by putting it into the equation. Asked of steps
    drawn at random, after the clock has stopped.
    """

    phase: str
    call: str
    inputs: tuple[Any, ...] = ()
    units: float = 1.0
    graph: bool = False
    check: Callable[[Any, Served[Any]], str | None] | None = None


@dataclass(frozen=True)
class Workload:
    """A named piece of work that suite.toml declares, e.g. "prefill" or "decode-b8".

    trial(rng) yields the steps of one trial, on fresh inputs drawn from rng. Candidate and baseline are stepped through
    the same steps side by side. What happens between two steps is not timed.
    unit: what `Step.units` counts, e.g. "token". of: what is stepped, the candidate or the rig that it was trained on.
    min_trials: done even when the time is up; an interval needs seven where a trial has one step of a phase (the first
    is warm-up, six pairs are the fewest that bound anything). max_trials: enough is enough.
    at_batch: the same work with another batch size (1, 2, 4...). Where it is given, the batch with the best throughput
    within the memory limit is searched for.
    """

    name: str
    trial: Callable[[np.random.Generator], Iterator[Step]]
    unit: str = "call"
    of: Literal["candidate", "rig"] = "candidate"
    min_trials: int = 1
    max_trials: int = 1000
    at_batch: "Callable[[int], Workload] | None" = None
