"""A process that is given one thing, gives one answer and leaves a log. Whatever it writes, only so much is read."""

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from bench.record.schema import Outcome

ANSWER_BYTES = 8 << 20
LOG_BYTES = 256 << 20
LOG_TAIL = 6000

_CHUNK = 1 << 16
_TICK = 0.1
_WATCH_EVERY = 3


@dataclass
class Ended:
    """How the process ended. stopped: why it was stopped from here. answer: what it wrote to its answer's descriptor.
    log: the end of what it printed. survivors: names of processes that outlived it."""

    returncode: int
    stopped: Outcome | None
    answer: bytes
    log: str
    survivors: Sequence[str]


def exchange(
    command: Callable[[int], Sequence[str]],
    given: bytes,
    *,
    environment: Mapping[str, str],
    timeout: float,
    watch: Callable[[int], Callable[[], Outcome | None]] | None = None,
    sweep: Callable[[], Sequence[str]] = lambda: (),
) -> Ended:
    """Run the process until it ends or has to be stopped, with its group and what `sweep` kills; what is left of it
    is gone when this returns, also when this process is interrupted.

    command: of the descriptor that the answer is to be written to. given: comes in on the standard input.
    watch: of the process's number; what it gives is asked a few times a second whether the run has to end.
    sweep: called once the process has ended, kills what outlived it and gives names.
    """
    answer_end, answer_to = os.pipe()
    process = subprocess.Popen(
        command(answer_to),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env=environment,
        pass_fds=[answer_to],
    )
    os.close(answer_to)
    assert process.stdin is not None
    assert process.stdout is not None
    log, answer = _Reader(process.stdout.fileno(), LOG_BYTES, keep=LOG_TAIL * 4), _Reader(answer_end, ANSWER_BYTES)
    survivors: Sequence[str] = ()
    try:
        with suppress(BrokenPipeError):
            process.stdin.write(given)
            process.stdin.close()
        stopped = _wait(process, (log, answer), time.monotonic() + timeout, timeout, watch and watch(process.pid))
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        survivors = sweep()
        for reader in (log, answer):
            reader.rest()
        process.stdout.close()
        os.close(answer_end)
    text = bytes(log.kept).decode(errors="replace")[-LOG_TAIL:]
    return Ended(process.returncode, stopped or log.excess() or answer.excess(), bytes(answer.kept), text, survivors)


class _Reader:
    """The reading end of a pipe. limit: bytes that may come through. keep: how many of the last are kept."""

    def __init__(self, descriptor: int, limit: int, keep: int | None = None) -> None:
        os.set_blocking(descriptor, False)
        self.descriptor, self.kept, self._limit, self._keep = descriptor, bytearray(), limit, keep or limit
        self._came, self.open = 0, True

    def read(self) -> int:
        """Bytes that were there now."""
        try:
            data = os.read(self.descriptor, _CHUNK)
        except BlockingIOError:
            return 0
        self.open = bool(data)
        self._came += len(data)
        self.kept += data
        del self.kept[: -self._keep]
        return len(data)

    def rest(self) -> None:
        """What is still in the pipe; nobody has to end it."""
        while not self.excess() and self.read():
            pass

    def excess(self) -> Outcome | None:
        if self._came <= self._limit:
            return None
        return Outcome(status="failed", reason=f"stopped: more than {self._limit >> 20} MiB of output")


def _wait(
    process: subprocess.Popen[bytes],
    readers: Sequence[_Reader],
    deadline: float,
    timeout: float,
    exceeded: Callable[[], Outcome | None] | None,
) -> Outcome | None:
    """Until the process ends; why it has to be stopped, if it has."""
    with selectors.DefaultSelector() as selector:
        for reader in readers:
            selector.register(reader.descriptor, selectors.EVENT_READ, reader)
        next_look = time.monotonic()
        while process.poll() is None:
            now = time.monotonic()
            if now >= deadline:
                return Outcome(status="timeout", reason=f"stopped after {timeout:g} s")
            if selector.get_map():
                for key, _ in selector.select(min(_TICK, deadline - now)):
                    ready: _Reader = key.data
                    ready.read()
                    if excess := ready.excess():
                        return excess
                    if not ready.open:
                        selector.unregister(key.fd)
            else:
                time.sleep(min(_TICK, deadline - now))
            if exceeded is not None and now >= next_look:
                next_look = now + _WATCH_EVERY * _TICK
                if outcome := exceeded():
                    return outcome
    return None
