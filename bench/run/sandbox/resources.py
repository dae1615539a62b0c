"""What a run may use up, beside its time: memory, processes, files. Held from outside, whatever happens inside.

The limits of the system (rlimits, set by inside.py) bind each process; the watch adds up what all of them use, which is
what a control group would do, and needs no right to make one.
"""

import time
from dataclasses import dataclass

import psutil

from bench.record.cgroup import memory_limit
from bench.record.schema import Outcome
from bench.run.tree import own_bytes, usage

_RESERVE = 0.03
_REST = 4.0
"""Shared memory is divided so many times as long after it was, as that took: it holds up those it looks at."""


@dataclass(frozen=True)
class Resources:
    """memory_bytes: of all processes together. tasks: processes and threads. file_bytes: of one file.
    temporary_bytes: of each private folder in memory (/tmp, /dev/shm, the cache); only a sandbox has such.
    """

    memory_bytes: int
    tasks: int = 2048
    file_bytes: int = 8 << 30
    temporary_bytes: int = 2 << 30

    @classmethod
    def of_this_machine(cls) -> "Resources":
        """Nine tenths of the memory that is free now, and no temporary folder larger than an eighth of it."""
        free = min(psutil.virtual_memory().available, memory_limit() or 1 << 62)
        return cls(int(0.9 * free), temporary_bytes=min(2 << 30, free // 8))


class Watch:
    """Asked a few times a second whether a process and all below it use more than they may.

    Reads a few files for each process below `root` and none of anybody else's.
    """

    def __init__(self, root: int, resources: Resources) -> None:
        self._root, self._resources = root, resources
        self._reserve = _RESERVE * psutil.virtual_memory().total
        self._divide_from = 0.0

    def exceeded(self) -> Outcome | None:
        """How the run ends, if it has to."""
        used, most = usage(self._root), self._resources.memory_bytes
        if used.tasks > self._resources.tasks:
            return Outcome(
                status="failed", reason=f"stopped: more than {self._resources.tasks} processes and threads"
            )  # fmt: skip
        if used.memory_bytes > most and self._own_bytes() > most:
            reason = f"stopped: more than {most / 2**30:.3g} GiB of memory"
            return Outcome(status="out_of_memory", reason=reason)
        if psutil.virtual_memory().available < self._reserve:  # also what belongs to no process: files in memory
            return Outcome(status="out_of_memory", reason="stopped: the machine had next to no memory left")
        return None

    def _own_bytes(self) -> int:
        """0 if it was asked just now."""
        begun = time.monotonic()
        if begun < self._divide_from:
            return 0
        found = own_bytes(self._root)
        self._divide_from = time.monotonic() + _REST * (time.monotonic() - begun)
        return found
