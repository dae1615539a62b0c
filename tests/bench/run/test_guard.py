"""The guard sees what a process and all below it use, whatever they do about it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bench.run.guard import Guard


@dataclass
class Watched:
    """As much of a party as a guard looks at."""

    process: subprocess.Popen[bytes]
    keeper: int
    pid: int

    def kill(self) -> None:
        self.process.kill()


@contextmanager
def running(code: str) -> Iterator[Watched]:
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield Watched(process, process.pid, process.pid)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def wait(guard: Guard, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and guard.stopped is None and guard.broken is None:
        time.sleep(0.05)


SLEEP = "print(flush=True)\nimport time\ntime.sleep(60)"
IN_A_CHILD = "import os\nif os.fork():\n    os.wait()\nprint(flush=True)\nwhile True: pass"
HOARD = "print(flush=True)\nimport time\nkept = b'x' * 300_000_000\ntime.sleep(60)"


def test_processor_time_is_that_of_the_whole_tree() -> None:
    with running(IN_A_CHILD) as party, Guard(party, threads=4, processor_seconds=0.5) as guard:  # type: ignore[arg-type]
        wait(guard)
    assert guard.stopped is not None
    limit, value, allowed = guard.stopped
    assert (limit, allowed) == ("build_seconds", 0.5)
    assert value > 0.5


def test_a_process_that_waits_is_stopped_by_the_clock() -> None:
    with running(SLEEP) as party, Guard(party, threads=1, processor_seconds=0.05) as guard:  # type: ignore[arg-type]
        wait(guard)
    assert guard.stopped is not None
    assert guard.stopped[0] == "build_seconds by the clock"


def test_memory_is_that_above_the_beginning() -> None:
    with running(HOARD) as party, Guard(party, threads=1, memory_bytes=100_000_000) as guard:  # type: ignore[arg-type]
        wait(guard)
    assert guard.stopped is not None
    assert guard.stopped[0] == "build_memory_bytes"
    assert guard.peak > 100_000_000


def test_memory_that_is_given_back_at_once_is_seen() -> None:
    code = "print(flush=True)\nimport time\ntime.sleep(.2)\nx = b'x' * 300_000_000\ndel x\ntime.sleep(60)"
    with running(code) as party, Guard(party, threads=1) as guard:  # type: ignore[arg-type]
        time.sleep(1.5)
    assert guard.peak > 290_000_000


def test_within_its_limits_nothing_happens() -> None:
    with running(SLEEP) as party:
        with Guard(party, threads=1, processor_seconds=30, memory_bytes=10**9) as guard:  # type: ignore[arg-type]
            time.sleep(0.5)
        assert (guard.stopped, guard.broken) == (None, None)
        assert party.process.poll() is None
