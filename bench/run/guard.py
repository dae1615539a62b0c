"""Watches a party from outside, and stops it: what its whole process tree uses, whatever happens inside."""

import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from bench.record.cgroup import oom_kills
from bench.run.party import Party
from bench.run.rules import TOO_MANY_CORES
from bench.run.tree import own_bytes, usage

_EVERY = 0.1
_WALL_FACTOR = 20.0
"""A limit on processor time is behind it a limit on the clock: so many times as long, for a process that waits."""
_CORES_AFTER = 3.0
"""Processor seconds from which it can be told how many processors worked."""


@dataclass
class Guard:
    """Used as a context around what is limited: limits count from its beginning.

    processor_seconds, memory_bytes: limits on the tree, memory above what it was at the beginning; None for none. On a
    GPU the seconds are the clock's. stopped: (limit, value, allowed) once a limit was passed and the party killed.
    """

    party: Party
    threads: int
    processor_seconds: float | None = None
    memory_bytes: float | None = None
    by_the_clock: bool = False
    stopped: tuple[str, float, float] | None = None
    broken: str | None = None
    peak: float = 0.0
    wall: float = 0.0
    spent: float = 0.0
    _done: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Guard":
        self._kills = oom_kills()
        reset_high_water(self.party.pid)
        self._begin, self._start = usage(self.party.keeper), time.monotonic()
        self._resident, self._own = high_water(self.party.pid), own_bytes(self.party.keeper)
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._look()
        self._done.set()
        self._thread.join()

    @property
    def killed_for_memory(self) -> bool:
        """Whether the system has ended processes for want of memory meanwhile."""
        return oom_kills() > self._kills

    def _watch(self) -> None:
        while not self._done.wait(_EVERY):
            self._look()
            if self.stopped is not None or self.broken is not None:
                self.party.kill()
                return

    def _look(self) -> None:
        now = usage(self.party.keeper)
        if not now.memory_bytes:
            return  # it is gone
        self.wall = time.monotonic() - self._start
        self.spent = max(self.spent, now.processor_seconds - self._begin.processor_seconds)
        alone = high_water(self.party.pid) - self._resident
        together = now.memory_bytes - self._begin.memory_bytes
        self.peak = max(self.peak, float(alone), float(together))
        self._hold_to_time()
        self._hold_to_memory(alone, together)

    def _hold_to_time(self) -> None:
        if self.processor_seconds is not None:
            counted = self.wall if self.by_the_clock else self.spent
            if counted > self.processor_seconds:
                self.stopped = ("build_seconds", counted, self.processor_seconds)
            elif self.wall > _WALL_FACTOR * self.processor_seconds:
                self.stopped = ("build_seconds by the clock", self.wall, _WALL_FACTOR * self.processor_seconds)
        if self.spent > _CORES_AFTER and self.spent > (self.threads + 0.5) * self.wall:
            self.broken = f"{TOO_MANY_CORES}: {self.spent / self.wall:.1f} were busy, the run has {self.threads}"

    def _hold_to_memory(self, alone: int, together: int) -> None:
        """alone: of the party itself. together: of all below it, where what they share was counted for each."""
        if self.memory_bytes is None or max(alone, together) <= self.memory_bytes:
            return
        above = alone if alone > self.memory_bytes else own_bytes(self.party.keeper) - self._own
        if above > self.memory_bytes:
            self.stopped = ("build_memory_bytes", float(above), self.memory_bytes)


def reset_high_water(pid: int) -> None:
    with suppress(OSError):
        Path(f"/proc/{pid}/clear_refs").write_text("5")


def high_water(pid: int) -> int:
    """Most bytes that were resident since the last reset; 0 where it is not told."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0
