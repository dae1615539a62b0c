"""How long threads of a process were ready to run while others had the processors (Linux's own account)."""

import os
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

_WORKED = 0.01
"""A thread took part in a step if it ran for at least this share of the step's time."""


@dataclass(frozen=True)
class Account:
    """Of each thread, by its number: nanoseconds that it ran, and that it was ready to run but waited."""

    threads: dict[int, tuple[int, int]]

    def ran_since(self, before: "Account") -> float:
        """Seconds that all threads ran since then, together."""
        return sum(ran - before.threads.get(number, (0, 0))[0] for number, (ran, _) in self.threads.items()) / 1e9

    def waited_since(self, before: "Account", thread: int) -> float:
        """Seconds that one thread waited since then."""
        return (self.threads.get(thread, (0, 0))[1] - before.threads.get(thread, (0, 0))[1]) / 1e9

    def others_waited_since(self, before: "Account", thread: int, wall: float) -> float:
        """Seconds that the other threads waited, those that worked during the `wall` seconds since then, together."""
        total = 0
        for number, (ran, waited) in self.threads.items():
            ran_before, waited_before = before.threads.get(number, (0, 0))
            if number != thread and (ran - ran_before) / 1e9 > _WORKED * wall:
                total += waited - waited_before
        return total / 1e9


@dataclass
class RunQueue:
    """Reads the accounts of threads (/proc/.../schedstat: nanoseconds run, nanoseconds waited on the run queue).

    Where they are not kept (other systems, some containers) nobody is ever said to have waited. A reading costs about
    1 us a thread. everyone: all threads, as `find_threads` last found them, and not one alone. pid: the process, this
    one where there is none; of another the one thread is its first.
    """

    everyone: bool
    pid: int | None = None
    _files: dict[int, int] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return Path("/proc", "self" if self.pid is None else str(self.pid), "task")

    def __enter__(self) -> "RunQueue":
        self.find_threads()
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            os.close(file)
        self._files.clear()

    def find_threads(self) -> None:
        """Threads that started since the last call are read from now on."""
        numbers = [threading.get_native_id() if self.pid is None else self.pid]
        if self.everyone:
            with suppress(OSError):
                numbers = [int(name) for name in os.listdir(self.folder)]
        for number in numbers:
            if number not in self._files:
                with suppress(OSError):
                    self._files[number] = os.open(self.folder / str(number) / "schedstat", os.O_RDONLY)

    def read(self) -> Account:
        threads = {}
        for number, file in list(self._files.items()):
            try:
                ran, waited, _ = os.pread(file, 96, 0).split()
                threads[number] = int(ran), int(waited)
            except (OSError, ValueError):  # the thread has ended
                os.close(self._files.pop(number))
        return Account(threads)
