"""Runs at tiny scale for the checks: in this process, or in one of their own that is started again when it dies."""

import gc
import multiprocessing
import os
import signal
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bench.record.schema import Outcome
from bench.run.plan import Job
from bench.submit.network import no_network


@dataclass(frozen=True)
class Trial:
    """What came of a run. connections: what it tried to reach over the network; the attempts were refused."""

    outcome: Outcome
    connections: tuple[str, ...] = ()


TrialRunner = Callable[[Job, float], Trial]
"""Runs a job; the second argument is the time that it may take, in seconds."""


def run_here(job: Job, timeout: float = 0.0) -> Trial:
    """A run in this process, without network. Nobody watches the time."""
    from bench.run.worker import run

    with no_network() as connections:
        outcome = run(job)
    return Trial(outcome, tuple(connections))


class TrialProcess:
    """Runs jobs one after the other in a process of its own, which keeps what is loaded from job to job.

    Use as a context manager; the process, and what it started, is killed at the end. What a method prints is thrown
    away, but for the last line of a process that died. protected: folders that a method must not write to.
    """

    def __init__(self, protected: Sequence[Path] = ()) -> None:
        self._protected = [str(path) for path in protected]
        self._process: Any = None
        self._connection: Connection | None = None
        self._log = tempfile.NamedTemporaryFile(prefix="effbench-check-", suffix=".log")  # noqa: SIM115  # see __exit__

    def __enter__(self) -> "TrialProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        self._log.close()

    def __call__(self, job: Job, timeout: float) -> Trial:
        """Run a job. Whatever happens to the process is an outcome."""
        connection = self._connection or self._start()
        try:
            connection.send(job)
            if connection.poll(timeout):
                trial: Trial = connection.recv()
                return trial
            outcome = Outcome(status="timeout", reason=f"stopped after {timeout:g} s")
        except (EOFError, OSError):
            self._process.join()
            outcome = Outcome(status="failed", reason=f"the process died ({self._cause()})")
        self._stop()
        return Trial(outcome)

    def _start(self) -> Connection:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self._log.name, self._protected), daemon=True)
        self._process.start()
        theirs.close()  # so that its death is the end of the pipe
        return self._connection

    def _stop(self) -> None:
        if self._connection is None:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.join()
        self._connection.close()
        self._connection = None

    def _cause(self) -> str:
        code = self._process.exitcode
        cause = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        lines = Path(self._log.name).read_text(errors="replace").strip().splitlines()
        return f"{cause}: {lines[-1]}" if lines else cause


def _serve(connection: Connection, log: str, protected: list[str]) -> None:
    """The other process: a job in, a trial out, until it is killed."""
    os.setsid()
    output = os.open(log, os.O_WRONLY | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}

    import torch

    from bench.run.integrity.files import protect

    torch.set_num_threads(1)
    protect([Path(folder) for folder in protected])
    with suppress(EOFError, BrokenPipeError):
        connection.send(run_here(connection.recv()))
        gc.freeze()  # all libraries are loaded now; the collections of the next runs need not look at them again
        while True:
            connection.send(run_here(connection.recv()))
