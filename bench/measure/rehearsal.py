"""A workload gone through once before it is timed: what it counts, what it needs, and first calls that nobody times."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from bench.contract import Workload
from bench.measure.flops import UncountedOperatorError
from bench.measure.side import Side
from bench.measure.work import Work

_COUNTED, _ENOUGH = 2, 3
"""Steps of a phase whose operators are counted, and steps after which the rest of the trial is left out."""


@dataclass
class Rehearsal:
    """work: the least that was counted for a step, by phase. uncounted: operators that no count is known of, so that
    nothing is said of the work. peak_bytes: of the steps."""

    work: Mapping[str, Work] = field(default_factory=dict)
    uncounted: tuple[str, ...] = ()
    peak_bytes: float = 0.0


def rehearse(workload: Workload, side: Side, *, seed: int) -> Rehearsal:
    """Step the side through the trial with this seed until each phase has been seen a few times."""
    works: dict[str, list[Work]] = {}
    uncounted: set[str] = set()
    seen: Counter[str] = Counter()
    side.reset_peak()
    for step in workload.trial(np.random.default_rng(seed)):
        seen[step.phase] += 1
        side.load([step])
        if seen[step.phase] <= _COUNTED:
            try:
                works.setdefault(step.phase, []).append(side.work())
            except UncountedOperatorError as error:
                uncounted |= set(error.operators)
        else:
            side.run()
        if seen[step.phase] == _ENOUGH:
            break
    counted = {phase: _least(found) for phase, found in works.items() if found and not uncounted}
    return Rehearsal(counted, tuple(sorted(uncounted)), side.peak_bytes())


def _least(works: list[Work]) -> Work:
    return Work(flops=min(work.flops for work in works), bytes=min(work.bytes for work in works))
