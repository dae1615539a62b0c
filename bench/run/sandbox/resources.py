"""What a run may use up, beside its time: memory, processes, files. Held from outside, whatever happens inside.

The limits of the system (rlimits, set by inside.py) bind each process; the watch adds up what all of them use, which is
what a control group would do, and needs no right to make one.
"""

from dataclasses import dataclass

import psutil

from bench.record.cgroup import memory_limit
from bench.record.schema import Outcome
from bench.run.tree import own_bytes, usage

_RESERVE = 0.03


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

    def exceeded(self) -> Outcome | None:
        """How the run ends, if it has to."""
        used, most = usage(self._root), self._resources.memory_bytes
        if used.tasks > self._resources.tasks:
            return Outcome(
                status="failed", reason=f"stopped: more than {self._resources.tasks} processes and threads"
            )  # fmt: skip
        if used.memory_bytes > most and own_bytes(self._root) > most:
            reason = f"stopped: more than {most / 2**30:.3g} GiB of memory"
            return Outcome(status="out_of_memory", reason=reason)
        if psutil.virtual_memory().available < self._reserve:  # also what belongs to no process: files in memory
            return Outcome(status="out_of_memory", reason="stopped: the machine had next to no memory left")
        return None
