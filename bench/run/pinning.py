"""Both servers on the same processors, so that neither has the better one; the judge on others if there are some."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

_LOOK_SECONDS = 0.1


@contextmanager
def pinned(pids: Sequence[int], cores: int) -> Iterator[None]:
    """The processes, all of their threads, on the so many processors that had least to do just now."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    mine = os.sched_getaffinity(0)
    chosen = set(_idlest(mine)[:cores])
    for pid in pids:
        _bind(pid, chosen)
    with suppress(OSError):
        os.sched_setaffinity(0, mine - chosen or mine)
    try:
        yield
    finally:
        for pid in pids:
            _bind(pid, mine)
        os.sched_setaffinity(0, mine)


def _bind(pid: int, cores: set[int]) -> None:
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError):
                os.sched_setaffinity(int(thread), cores)


def _idlest(cores: set[int]) -> list[int]:
    before = _busy()
    time.sleep(_LOOK_SECONDS)
    after = _busy()
    return sorted(cores, key=lambda core: (after.get(core, 0) - before.get(core, 0), core))


def _busy() -> dict[int, int]:
    """Ticks in which each processor had something to do."""
    found = {}
    with suppress(OSError):
        for line in Path("/proc/stat").read_text().splitlines():
            name, *ticks = line.split()
            if name.startswith("cpu") and name[3:].isdigit():
                found[int(name[3:])] = sum(map(int, ticks[:3])) + sum(map(int, ticks[5:8]))
    return found
