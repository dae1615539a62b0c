"""What is timed. A suite describes the steps; the instruments in bench/measure time them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Step:
    """One timed call, `run(*inputs)`. phase: name of the series that its time belongs to (e.g. "ttft", "tpot").

    run: does the work and returns its result (plain tensors, arrays or numbers), which the instrument waits for.
    units: how many units of work it does (tokens, systems), for throughput.
    inputs: what `run` is given. graph: the result hangs on these tensors alone, their shapes never change and nothing
        waits for the host, so that the call may also be captured as a CUDA graph.
    check: says what is wrong with a result of `run`, or None. It finds the right one in another way: as the scores are
        found, or by putting it into the equation. Called on steps drawn at random, after the clock has stopped.
    """

    phase: str
    run: Callable[..., Any]
    units: float = 1.0
    inputs: tuple[Any, ...] = ()
    graph: bool = False
    check: Callable[[Any], str | None] | None = None


@dataclass(frozen=True)
class Workload:
    """A named piece of work, e.g. "prefill-1x512" or "decode-b8".

    trial(candidate, rng) yields the steps of one trial, on fresh inputs drawn from rng. Candidate and baseline are
    stepped through their trials side by side with equal rng state, so both must yield the same phases in the
    same order. What happens between two steps is not timed.
    unit: what `Step.units` counts, e.g. "token".
    min_trials: done even when the time is up; an interval needs seven where a trial has one step of a phase (the first
    is warm-up, six pairs are the fewest that bound anything). max_trials: enough is enough.
    at_batch: the same work with another batch size (1, 2, 4...). Where it is given, the batch with the best throughput
    within the memory limit is searched for.
    """

    name: str
    trial: Callable[[Any, np.random.Generator], Iterator[Step]]
    unit: str = "call"
    min_trials: int = 1
    max_trials: int = 1000
    at_batch: "Callable[[int], Workload] | None" = None
