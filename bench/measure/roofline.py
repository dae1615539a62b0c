"""Whether a time is possible at all: no step is faster than its bytes at full bandwidth, and its FLOPs at full rate.

The roofline model (Williams, Waterman and Patterson, 2009), turned round: not how fast a program could be, but how fast
nobody can have been.
"""

import numpy as np

from bench.record.ceilings import Ceilings
from bench.record.schema import Timing


def floor_seconds(flops: float, bytes: float, ceilings: Ceilings) -> float:
    """The least seconds that moving `bytes` and executing `flops` can take; both may go on at the same time."""
    return max(bytes / ceilings.bandwidth_at(bytes), flops / ceilings.matrix_rate)


def implausible(timing: Timing, ceilings: Ceilings) -> str | None:
    """What is wrong with a timing that nobody can have reached, or None.

    Judged is the median of the candidate's samples: single samples may be cut short by a clock's jump. Times at the
    limit itself, and those whose work was not counted, are believed. The ceilings may have been taken in a bad moment:
    whoever refuses a time on them measures them again first.
    """
    flops, moved = timing.flops or 0.0, timing.bytes or 0.0
    floor = floor_seconds(flops, moved, ceilings)
    median = float(np.median(timing.candidate)) if timing.candidate else np.inf
    if median >= floor:
        return None
    return (
        f"implausible: median {quantity(median, 's')}, but {quantity(moved, 'B')} at "
        f"{quantity(ceilings.bandwidth_at(moved), 'B/s')} and {quantity(flops, 'FLOP')} at "
        f"{quantity(ceilings.matrix_rate, 'FLOP/s')} take at least {quantity(floor, 's')}"
    )


def quantity(value: float, unit: str) -> str:
    """A number for people, with three digits and a prefix: 1.2e-05, "s" -> "12 us"."""
    for prefix, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3), ("", 1.0), ("m", 1e-3), ("u", 1e-6)):
        if value >= size or (value == 0 and size == 1):
            return f"{value / size:.3g} {prefix}{unit}"
    return f"{value / 1e-9:.3g} n{unit}"
