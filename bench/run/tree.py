"""A process and all below it, as the kernel tells: who they are, and what they have used."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def descendants(root: int, *, deep: bool = True, ended: bool = False) -> list[int]:
    """Numbers of the processes below `root`, the nearest first. ended: with those that have ended and wait to be asked
    how."""
    found: list[int] = []
    todo = [root]
    while todo:
        pid = todo.pop(0)
        children: list[int] = []
        with suppress(OSError):
            for thread in os.listdir(f"/proc/{pid}/task"):
                with suppress(OSError):
                    children += map(int, Path(f"/proc/{pid}/task/{thread}/children").read_bytes().split())
        counted = [child for child in children if ended or _state(child) not in ("Z", "X", None)]
        found += counted
        todo += counted if deep else []
    return found


def name_of(pid: int) -> str | None:
    """For people; None where it is gone."""
    with suppress(OSError):
        return f"{Path(f'/proc/{pid}/comm').read_text().strip()} ({pid})"
    return None


@dataclass(frozen=True)
class Usage:
    """Of a process and all below it. processor_seconds: also of those that have ended. memory_bytes: resident; what
    several share counts for each. tasks: threads."""

    processor_seconds: float
    memory_bytes: int
    tasks: int


def usage(root: int) -> Usage:
    """What the tree uses now; zeros where it is gone."""
    ticks = pages = tasks = 0
    for pid in [root, *descendants(root, ended=True)]:
        fields = _fields(pid)
        if fields is not None:
            ticks += sum(map(int, fields[11:15]))
            tasks += int(fields[17]) if fields[0] != "Z" else 0
            pages += int(fields[21])
    return Usage(ticks / _TICK, pages * _PAGE, tasks)


def seconds_of_children(pid: int) -> float:
    """Processor seconds of the children of a process that have ended and were waited for."""
    fields = _fields(pid)
    return 0.0 if fields is None else sum(map(int, fields[13:15])) / _TICK


def own_bytes(root: int) -> int:
    """Bytes of the tree, what processes share divided among them. Dear to find out, so only on suspicion; where it is
    not told, all that each holds."""
    return sum(map(_proportional, [root, *descendants(root)]))


def _proportional(pid: int) -> int:
    with suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/smaps_rollup").read_text().partition("\nPss:")[2].split()[0]) << 10
    with suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    return 0


def _state(pid: int) -> str | None:
    fields = _fields(pid)
    return None if fields is None else fields[0]


def _fields(pid: int) -> list[str] | None:
    """Of /proc/PID/stat, from the state on."""
    with suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return None


def abandoned_memory() -> set[int]:
    """Numbers of System V's shared memory whose maker is gone: it stays until somebody takes it away."""
    with suppress(OSError, ValueError, IndexError):
        rows = [line.split() for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]]
        return {int(row[1]) for row in rows if not Path("/proc", row[4]).exists()}
    return set()
