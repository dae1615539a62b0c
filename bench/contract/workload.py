"""What is timed. A suite describes the steps; the instruments in bench/measure time them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Step:
    """One timed call. phase: name of the series that its time belongs to (e.g. "ttft", "tpot").

    run: does the work and returns its result, which the instrument waits for.
    units: how many units of work it does (tokens, systems), for throughput.
    """

    phase: str
    run: Callable[[], Any]
    units: float = 1.0


@dataclass(frozen=True)
class Workload:
    """A named piece of work, e.g. "prefill-1x512" or "decode-b8".

    trial(candidate, rng) yields the steps of one trial, on fresh inputs drawn from rng. Candidate and baseline are
    stepped through their trials side by side with equal rng state, so both must yield the same phases in the
    same order. What happens between two steps is not timed.
    unit: what `Step.units` counts, e.g. "token".
    min_trials: done even when the time is up; an interval needs seven where a trial has one step of a phase (the first
    is warm-up, six pairs are the fewest that bound anything). max_trials: enough is enough.
    """

    name: str
    trial: Callable[[Any, np.random.Generator], Iterator[Step]]
    unit: str = "call"
    min_trials: int = 1
    max_trials: int = 1000
