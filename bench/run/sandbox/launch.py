"""Starts one of the engine's own modules where the code of others is imported: confined, or in a plain process."""

import json
import os
import sys
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from bench.record.schema import Isolation
from bench.run.exchange import Ended, exchange
from bench.run.integrity.processes import MARK, kill_marked
from bench.run.sandbox import inside
from bench.run.sandbox.bubblewrap import Bubblewrap, environment
from bench.run.sandbox.resources import Resources, Watch


@dataclass(frozen=True)
class Confinement:
    """sandbox: None where there is none; then the limits of `resources` and the clean environment are all there is."""

    sandbox: Bubblewrap | None
    resources: Resources

    @property
    def isolation(self) -> Isolation:
        """As records call it."""
        return "none" if self.sandbox is None else "bubblewrap"


def launch(
    module: str,
    given: bytes,
    *,
    timeout: float,
    confinement: Confinement | None,
    variables: Mapping[str, str],
    gpu: bool = False,
) -> Ended:
    """Run `python -m module FD`, which reads `given` and writes its answer to the descriptor FD; see `exchange`.

    variables: added to its environment, which is ours without a confinement.
    """
    mark = uuid.uuid4().hex
    with TemporaryDirectory(prefix="effbench-run-") as folder:
        variables = {**variables, "TMPDIR": folder, MARK: mark}
        if confinement is None:
            return exchange(
                lambda answer: [sys.executable, "-m", module, str(answer)],
                given,
                environment={**os.environ, **variables},
                timeout=timeout,
                sweep=lambda: kill_marked(mark),
            )
        if confinement.sandbox is not None:
            variables["TMPDIR"] = "/tmp"
        ended = exchange(
            lambda answer: confined_command(confinement, [sys.executable, "-P", "-m", module, str(answer)], gpu=gpu),
            given,
            environment={**environment(), **variables},
            timeout=timeout,
            watch=lambda root: Watch(root, confinement.resources).exceeded,
            # what is left in a sandbox ends with it, and is told of by inside.py
            sweep=(lambda: kill_marked(mark)) if confinement.sandbox is None else lambda: (),
        )
    if confinement.sandbox is not None and ended.returncode == inside.LEFT_BEHIND:
        ended.returncode, ended.survivors = 0, [ended.log.strip().splitlines()[-1]]
    elif ended.returncode > 128:
        ended.returncode = 128 - ended.returncode
    return ended


def confined_command(
    confinement: Confinement,
    command: Sequence[str],
    *,
    gpu: bool = False,
    visible: Sequence[Path] = (),
    hidden: Sequence[Path] = (),
) -> list[str]:
    """The command under its limits and, where there is one, in the sandbox. visible, hidden: see Bubblewrap.command."""
    resources = confinement.resources
    limits = {"RLIMIT_NPROC": resources.tasks + _tasks_of_user(), "RLIMIT_FSIZE": resources.file_bytes}
    if not gpu:  # CUDA maps far more than it uses
        limits["RLIMIT_DATA"] = resources.memory_bytes
    limited = [sys.executable, "-I", "-S", str(Path(inside.__file__)), json.dumps(limits), *command]
    if confinement.sandbox is None:
        return limited
    return confinement.sandbox.command(
        limited, temporary_bytes=resources.temporary_bytes, gpu=gpu, visible=visible, hidden=hidden
    )


def _tasks_of_user() -> int:
    """Threads of all processes of this user: on some kernels they count towards the limit too."""
    total = 0
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.uids().real == os.getuid():
                total += process.num_threads()
    return total
