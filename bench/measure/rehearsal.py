"""A workload gone through once before it is timed: what it counts, what it needs, and first calls that nobody times."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from bench.contract import Workload
from bench.measure.memory import Peak, peak_memory
from bench.measure.work import Work, count_work

_COUNTED, _ENOUGH = 2, 3
"""Steps of a phase whose operators are counted, and steps after which the rest of the trial is left out."""


@dataclass
class Rehearsal:
    """work: the least that was counted for a step, by phase. peak: memory of the steps."""

    work: Mapping[str, Work]
    peak: Peak


def rehearse(workload: Workload, candidate: Any, *, seed: int, device: str) -> Rehearsal:
    """Step the candidate through the trial with this seed until each phase has been seen a few times.

    Raises UncountedOperatorError where a product has no FLOP formula.
    """
    works: dict[str, list[Work]] = {}
    seen: Counter[str] = Counter()
    with peak_memory(device) as peak:
        for step in workload.trial(candidate, np.random.default_rng(seed)):
            seen[step.phase] += 1
            run = partial(step.run, *step.inputs)
            if seen[step.phase] <= _COUNTED:
                works.setdefault(step.phase, []).append(count_work(run))
            else:
                run()
            if seen[step.phase] == _ENOUGH:
                break
    return Rehearsal({phase: _least(counted) for phase, counted in works.items()}, peak)


def _least(works: list[Work]) -> Work:
    return Work(flops=min(work.flops for work in works), bytes=min(work.bytes for work in works))
