"""What a run may use up, beside its time: memory, processes, files. Held from outside, whatever happens inside.

The limits of the system (rlimits, set by inside.py) bind each process; the watch adds up what all of them use, which is
what a control group would do, and needs no right to make one.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.record.cgroup import memory_limit
from bench.record.schema import Outcome

_RESERVE = 0.03
_PAGE = os.sysconf("SC_PAGE_SIZE")


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
        memory = tasks = 0
        pids = list(self._tree())
        for pid in pids:
            with suppress(OSError, ValueError, IndexError):  # it has ended
                fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
                tasks += int(fields[17])
                memory += int(fields[21]) * _PAGE
            if tasks > self._resources.tasks:
                return _failed(f"more than {self._resources.tasks} processes and threads")
        if memory > self._resources.memory_bytes and sum(map(_proportional, pids)) > self._resources.memory_bytes:
            limit = self._resources.memory_bytes / 2**30
            return Outcome(status="out_of_memory", reason=f"stopped: more than {limit:.3g} GiB of memory")
        if psutil.virtual_memory().available < self._reserve:  # also what belongs to no process: files in memory
            return Outcome(status="out_of_memory", reason="stopped: the machine had next to no memory left")
        return None

    def _tree(self) -> Iterator[int]:
        todo = [self._root]
        while todo:
            pid = todo.pop()
            yield pid
            with suppress(OSError):
                for thread in os.listdir(f"/proc/{pid}/task"):
                    with suppress(OSError):
                        todo += map(int, Path(f"/proc/{pid}/task/{thread}/children").read_bytes().split())


def _proportional(pid: int) -> int:
    """Bytes of a process, what it shares with others divided among them. Dear to find out, so only on suspicion; where
    it is not told, all that the process holds."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/smaps_rollup").read_text().partition("\nPss:")[2].split()[0]) << 10
    with suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    return 0


def _failed(what: str) -> Outcome:
    return Outcome(status="failed", reason=f"stopped: {what}")
