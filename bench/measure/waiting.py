"""How long the threads of this process were ready to run while other processes had the processors (Linux)."""

import os
from contextlib import suppress
from pathlib import Path


class RunQueue:
    """Reads the kernel's own account of each thread: nanoseconds on the run queue (schedstat, second number).

    Where it is not kept (other systems, some containers) nothing is ever said to have waited. A reading costs about
    2 us a thread.
    """

    def __init__(self, threads: Path = Path("/proc/self/task")) -> None:
        self._threads = threads
        self._files: dict[str, int] = {}

    def __enter__(self) -> "RunQueue":
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            os.close(file)
        self._files.clear()

    def find_threads(self) -> None:
        """Threads that started since the last call are read from now on."""
        try:
            names = os.listdir(self._threads)
        except OSError:
            return
        for name in names:
            if name not in self._files:
                with suppress(OSError):
                    self._files[name] = os.open(self._threads / name / "schedstat", os.O_RDONLY)

    def waited(self) -> float:
        """Seconds that all threads together have waited so far. The difference of two calls says what was between."""
        total = 0
        for name, file in list(self._files.items()):
            try:
                total += int(os.pread(file, 96, 0).split()[1])
            except (OSError, IndexError, ValueError):  # the thread has ended
                os.close(self._files.pop(name))
        return total / 1e9
